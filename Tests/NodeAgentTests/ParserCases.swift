import Wire

@testable import NodeAgent

extension ParserCase {
    /// Every parser that reads a value file; the keyed files have their own tests.
    static let all: [ParserCase] = [
        singleValue, limit, cpuMax, cpuList, pressure, pressureWithoutFull, ioStat, blkio,
        loadAverage, uptime, fileHandles, cgroupProcs, pidStat, netDev, diskStats,
        oldDiskStats, sockStat, sockStat6, procStat, mountInfo,
    ]

    private static let singleValue = ParserCase(
        "single value", "49827840\n",
        parse: { (text) throws(KernelTextError) in ["value": try SingleValue.parse(text)] },
        model: { bytes in
            guard let lines = Model.lines(bytes), lines.count == 1 else { return nil }
            if lines[0].first == 45 {
                return Model.number(lines[0].dropFirst()).map { ["value": -$0] }
            }
            return Model.number(lines[0]).map { ["value": $0] }
        })

    private static let limit = ParserCase(
        "limit", "9223372036854771712\n",
        parse: { (text) throws(KernelTextError) in ["limit": try SingleValue.parseLimit(text)] },
        model: { bytes in
            if Model.text(bytes) == "max\n" { return ["limit": -1] }
            guard let value = singleValue.model(bytes)?["value"] else { return nil }
            return ["limit": value < 0 || value > 4_611_686_018_427_387_904 ? -1 : value]
        })

    private static let cpuMax = ParserCase(
        "cpu.max", "30000 100000\n",
        parse: { (text) throws(KernelTextError) in
            let limit = try CPUMax(parsing: text)
            return ["quota": limit.quotaNanoseconds, "period": limit.periodNanoseconds]
        },
        model: { bytes in
            guard let end = bytes.firstIndex(of: 10) else { return nil }
            let fields = Model.fields(Array(bytes[..<end]))
            guard fields.count == 2, let period = Model.number(fields[1]) else { return nil }
            if Model.text(fields[0]) == "max" { return ["quota": -1, "period": period &* 1_000] }
            return Model.number(fields[0]).map {
                ["quota": $0 &* 1_000, "period": period &* 1_000]
            }
        })

    private static let cpuList = ParserCase(
        "CPU list", "0-3,8,10-11\n",
        parse: { (text) throws(KernelTextError) in ["count": try CPUList.count(text)] },
        model: { bytes in
            guard let end = bytes.firstIndex(of: 10) else { return nil }
            var line = bytes[..<end]
            if line.isEmpty { return ["count": 0] }
            // A comma may end the list, as it may end each part.
            if line.last == 44 { line = line.dropLast() }
            var count: Int64 = 0
            for part in line.split(separator: 44, omittingEmptySubsequences: false) {
                let ends = part.split(separator: 45, omittingEmptySubsequences: false)
                guard (1...2).contains(ends.count), let first = Model.number(ends[0]),
                    let last = Model.number(ends[ends.count - 1]), last >= first, last < 1_048_576
                else { return nil }
                count += last - first + 1
            }
            return ["count": count]
        })

    private static let pressure = ParserCase(
        "pressure",
        """
        some avg10=13.85 avg60=6.31 avg300=9.97 total=601051711
        full avg10=0.00 avg60=0.17 avg300=0.25 total=8878172

        """,
        parse: { (text) throws(KernelTextError) in
            let pressure = try PressureStall(parsing: text)
            return ["some": pressure.someNanoseconds, "full": pressure.fullNanoseconds]
        },
        model: { bytes in
            var rest = bytes[...]
            func total(_ prefix: String) -> Int64? {
                guard rest.starts(with: prefix.utf8), let end = rest.firstIndex(of: 10) else {
                    return nil
                }
                let line = rest[..<end].dropFirst(prefix.utf8.count)
                // The first t begins `total=`.
                guard let start = line.firstIndex(of: UInt8(ascii: "t")) else { return nil }
                rest = rest[(end + 1)...]
                guard line[start...].starts(with: "total=".utf8) else { return nil }
                return Model.number(line[start...].dropFirst(6)).map { $0 &* 1_000 }
            }
            guard let some = total("some ") else { return nil }
            if rest.isEmpty { return ["some": some, "full": 0] }
            return total("full ").map { ["some": some, "full": $0] }
        })

    private static let pressureWithoutFull = ParserCase(
        "pressure without full", "some avg10=1.00 avg60=0.00 avg300=0.00 total=12\n",
        parse: { (text) throws(KernelTextError) in
            let pressure = try PressureStall(parsing: text)
            return ["some": pressure.someNanoseconds, "full": pressure.fullNanoseconds]
        }, model: pressure.model)

    private static let ioStat = ParserCase(
        "io.stat",
        """
        254:32 rbytes=77824 wbytes=33726464 rios=9 wios=309 dbytes=7 dios=1

        259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=12 note
        8:0 

        """,
        parse: { (text) throws(KernelTextError) in
            var found = Parsed()
            try IOStat.parse(text) { io in
                found["\(io.device) rbytes"] = io.readBytes
                found["\(io.device) wbytes"] = io.writeBytes
                found["\(io.device) rios"] = io.reads
                found["\(io.device) wios"] = io.writes
                found["\(io.device) dbytes"] = io.discardBytes
                found["\(io.device) dios"] = io.discards
            }
            return found
        },
        model: { bytes in
            if bytes.isEmpty { return [:] }
            guard let lines = Model.lines(bytes) else { return nil }
            var found = Parsed()
            let keys = ["rbytes", "wbytes", "rios", "wios", "dbytes", "dios"]
            for line in lines where !line.isEmpty {
                var fields = Model.fields(line)
                guard let device = Model.device(fields.removeFirst()) else { return nil }
                // A blank may end a line.
                if fields.last?.isEmpty == true { fields.removeLast() }
                if fields.isEmpty { continue }
                var values: [String: Int64] = [:]
                for field in fields {
                    // A word ends before any control character, which nothing may follow.
                    guard !field.isEmpty, field.allSatisfy({ $0 > 32 }) else { return nil }
                    let parts = field.split(
                        separator: 61, maxSplits: 1, omittingEmptySubsequences: false)
                    let key = Model.text(Array(parts[0]))
                    guard parts.count == 2, keys.contains(key) else { continue }
                    guard let value = Model.number(parts[1]) else { return nil }
                    values[key] = value
                }
                for key in keys { found["\(device) \(key)"] = values[key] ?? 0 }
            }
            return found
        })

    private static let blkio = ParserCase(
        "blkio",
        """
        254:0 Read 2048
        254:0 Write 54530048
        254:0 Sync 54532096
        254:0 Async 0
        254:0 Discard 9
        254:0 Total 54532105
        Total 54532105

        """,
        parse: { (text) throws(KernelTextError) in
            var found = Parsed()
            try BlkioStat.parse(text) { found["\($0) \($1)"] = $2 }
            return found
        },
        model: { bytes in
            guard let lines = Model.lines(bytes) else { return nil }
            let operations = ["Read": "read", "Write": "write", "Discard": "discard"]
            var found = Parsed()
            for line in lines {
                let fields = Model.fields(line)
                if fields.count == 2, Model.text(fields[0]) == "Total" {
                    guard Model.number(fields[1]) != nil else { return nil }
                    continue
                }
                guard fields.count == 3, let device = Model.device(fields[0]), !fields[1].isEmpty,
                    fields[1].allSatisfy({ $0 > 32 }), let value = Model.number(fields[2])
                else { return nil }
                if let operation = operations[Model.text(fields[1])] {
                    found["\(device) \(operation)"] = value
                }
            }
            return found
        })

    private static let loadAverage = ParserCase(
        "loadavg", "1.06 1.11 1.67 4/219 4778\n",
        parse: { (text) throws(KernelTextError) in
            let load = try LoadAverage(parsing: text)
            return [
                "1": load.oneMinute, "5": load.fiveMinutes, "15": load.fifteenMinutes,
                "runnable": load.runnableTasks, "tasks": load.tasks,
            ]
        },
        model: { bytes in
            guard let end = bytes.firstIndex(of: 10) else { return nil }
            let fields = Model.fields(Array(bytes[..<end]))
            guard fields.count >= 4, let one = Model.thousandths(fields[0]),
                let five = Model.thousandths(fields[1]), let fifteen = Model.thousandths(fields[2])
            else { return nil }
            let rest = Array(bytes[..<end]).dropFirst(
                fields[..<3].map { $0.count + 1 }.reduce(0, +))
            let runnable = rest.prefix { $0 != 47 }
            guard runnable.count < rest.count, let running = Model.number(runnable) else {
                return nil
            }
            // Whatever follows the digits is not looked at.
            let digits = rest.dropFirst(runnable.count + 1).prefix { (48...57).contains($0) }
            guard let tasks = Model.number(digits) else { return nil }
            return ["1": one, "5": five, "15": fifteen, "runnable": running, "tasks": tasks]
        })

    private static let uptime = ParserCase(
        "uptime", "2167.37 2352.25\n",
        parse: { (text) throws(KernelTextError) in ["uptime": try Uptime.milliseconds(text)] },
        model: { bytes in
            guard let end = bytes.firstIndex(of: 10) else { return nil }
            let line = bytes[..<end]
            let whole = line.prefix { (48...57).contains($0) }
            guard Model.number(whole) != nil else { return nil }
            var number = Array(whole)
            if line.dropFirst(whole.count).first == 46 {
                number.append(46)
                number += line.dropFirst(whole.count + 1).prefix { (48...57).contains($0) }
            }
            return Model.thousandths(number).map { ["uptime": $0] }
        })

    private static let fileHandles = ParserCase(
        "file-nr", "2601\t1\t2466177\n",
        parse: { (text) throws(KernelTextError) in
            let handles = try FileHandles(parsing: text)
            return ["allocated": handles.allocated, "limit": handles.limit]
        },
        model: { bytes in
            guard let end = bytes.firstIndex(of: 10) else { return nil }
            let line = bytes[..<end]
            let words = Model.words(line)
            guard words.count == 3, line.first != 32, line.first != 9, line.last != 32,
                line.last != 9, let total = Model.number(words[0]),
                let unused = Model.number(words[1]), let limit = Model.number(words[2])
            else { return nil }
            return ["allocated": max(0, total - unused), "limit": limit > 1 << 62 ? -1 : limit]
        })

    private static let cgroupProcs = ParserCase(
        "cgroup.procs", "153\n0\n166\n4194304\n",
        parse: { (text) throws(KernelTextError) in
            let processIDs = try CgroupProcs.processIDs(text)
            return Dictionary(
                processIDs.enumerated().map { ("\($0.offset)", Int64($0.element)) },
                uniquingKeysWith: { first, _ in first })
        },
        model: { bytes in
            if bytes.isEmpty { return [:] }
            guard let lines = Model.lines(bytes) else { return nil }
            var found: [Int64] = []
            for line in lines {
                guard let value = Model.number(line) else { return nil }
                if value > 0, value <= Int64(Int32.max) { found.append(value) }
            }
            return Dictionary(
                found.enumerated().map { ("\($0.offset)", $0.element) },
                uniquingKeysWith: { first, _ in first })
        })

    private static let pidStat = ParserCase(
        "pid stat",
        "42 (a) b) S 1 42 42 0 -1 4194560 913 34190 17 63 153 8 21 63 20 0 1 0 2166 2781184 512 "
            + "18446744073709551615 0 0\n",
        parse: { (text) throws(KernelTextError) in
            let stat = try PIDStat(parsing: text)
            return [
                "user": stat.userNanoseconds, "system": stat.systemNanoseconds,
                "start": stat.startMillisecondsAfterBoot, "resident": stat.residentPages,
            ]
        },
        model: { bytes in
            guard let close = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            let rest = Array(bytes[(close + 1)...])
            guard rest.first == 32 else { return nil }
            let fields = Model.fields(Array(rest.dropFirst()))
            // Field 3 comes first; of all up to field 24 a word with control characters is none.
            guard fields.count > 22, fields[..<22].allSatisfy({ $0.allSatisfy { $0 > 32 } }),
                let user = Model.number(fields[11]), let system = Model.number(fields[12]),
                let start = Model.number(fields[19]), let resident = Model.number(fields[21])
            else { return nil }
            return [
                "user": user &* 10_000_000, "system": system &* 10_000_000, "start": start &* 10,
                "resident": resident,
            ]
        })
}
