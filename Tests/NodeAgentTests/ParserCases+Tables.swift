import Wire

@testable import NodeAgent

/// Parsers of files with many columns.
extension ParserCase {
    private static let netColumns = [
        "rx", "rxPackets", "rxErrors", "rxDropped", "", "", "", "", "tx", "txPackets", "txErrors",
        "txDropped", "", "", "", "",
    ]

    static let netDev = ParserCase(
        "net/dev",
        """
        Inter-|   Receive                                                |  Transmit
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
            lo: 26770717861 6229525    0    0    0     0          0         0 26770717861 6229525 1 2 0 0 0 0
          eth0:607416565   12248    3    4    5     6          7         8   560330    7874    9 10 11 12 13 14

        """,
        parse: { (text) throws(KernelTextError) in
            var found = Parsed()
            try NetDev.parse(text) { name, counters in
                let key = name.string
                found["\(key) rx"] = counters.receiveBytes
                found["\(key) rxPackets"] = counters.receivePackets
                found["\(key) rxErrors"] = counters.receiveErrors
                found["\(key) rxDropped"] = counters.receiveDropped
                found["\(key) tx"] = counters.transmitBytes
                found["\(key) txPackets"] = counters.transmitPackets
                found["\(key) txErrors"] = counters.transmitErrors
                found["\(key) txDropped"] = counters.transmitDropped
            }
            return found
        },
        model: { bytes in
            guard let lines = Model.lines(bytes), lines.count >= 2,
                lines[0].starts(with: "Inter-|".utf8)
            else { return nil }
            var found = Parsed()
            for line in lines.dropFirst(2) {
                let trimmed = line.drop { $0 == 32 || $0 == 9 }
                guard let colon = trimmed.firstIndex(of: 58), colon > trimmed.startIndex,
                    let last = line.last, last != 32, last != 9
                else { return nil }
                let name = Model.text(Array(trimmed[..<colon]))
                let words = Model.words(trimmed[(colon + 1)...])
                guard words.count == 16 else { return nil }
                for (word, column) in zip(words, netColumns) {
                    guard let value = Model.number(word) else { return nil }
                    if !column.isEmpty { found["\(name) \(column)"] = value }
                }
            }
            return found
        })

    /// Name and factor of each column of `/proc/diskstats` after the device's name.
    private static let diskColumns: [(String, Int64)] = [
        ("reads", 1), ("readsMerged", 1), ("readBytes", 512), ("readTime", 1), ("writes", 1),
        ("writesMerged", 1), ("writeBytes", 512), ("writeTime", 1), ("inFlight", 1), ("busy", 1),
        ("weighted", 1), ("discards", 1), ("", 1), ("discardBytes", 512),
    ]

    static let diskStats = ParserCase(
        "diskstats",
        """
           7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
         254       0 vda 434476 42189 26802706 670607 79486 250927 30959152 146157 3 53776 824972 52826 4 11490160 6438 10661 1768

        """,
        parse: { (text) throws(KernelTextError) in try disks(text) }, model: { modelOfDisks($0) })

    /// Kernels before 4.18 end after eleven columns.
    static let oldDiskStats = ParserCase(
        "old diskstats", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n 8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n",
        parse: { (text) throws(KernelTextError) in try disks(text) }, model: { modelOfDisks($0) })

    private static func disks(_ text: KernelText) throws(KernelTextError) -> Parsed {
        var found = Parsed()
        try DiskStats.parse(text) { name, disk in
            let key = "\(disk.device) \(name.string)"
            for (column, value) in [
                ("reads", disk.reads), ("readsMerged", disk.readsMerged),
                ("readBytes", disk.readBytes), ("readTime", disk.readMilliseconds),
                ("writes", disk.writes), ("writesMerged", disk.writesMerged),
                ("writeBytes", disk.writeBytes), ("writeTime", disk.writeMilliseconds),
                ("inFlight", disk.inFlight), ("busy", disk.busyMilliseconds),
                ("weighted", disk.weightedMilliseconds), ("discards", disk.discards),
                ("discardBytes", disk.discardBytes),
            ] { found["\(key) \(column)"] = value }
        }
        return found
    }

    private static func modelOfDisks(_ bytes: [UInt8]) -> Parsed? {
        if bytes.isEmpty { return [:] }
        guard let lines = Model.lines(bytes) else { return nil }
        var found = Parsed()
        for line in lines {
            // A control character ends the name, and nothing but a blank may follow it.
            let words = Model.words(line)
            guard words.count >= 14, let major = Model.number(words[0]),
                let minor = Model.number(words[1]), major <= Int64(UInt32.max),
                minor <= Int64(UInt32.max), words[2].allSatisfy({ $0 > 32 })
            else { return nil }
            let key = "\(major):\(minor) \(Model.text(words[2]))"
            // The eleventh column may end the line, in old kernels; a blank after it may not.
            let endsAtEleven = words.count == 14 && line.last != 32 && line.last != 9
            if !endsAtEleven, words.count < 17 { return nil }
            // What follows the last wanted column is not looked at, nor is a control character.
            for (index, column) in diskColumns.enumerated() {
                let value = endsAtEleven && index >= 11 ? 0 : Model.number(words[index + 3])
                guard let value else { return nil }
                if !column.0.isEmpty { found["\(key) \(column.0)"] = value &* column.1 }
            }
        }
        return found
    }

    static let sockStat = ParserCase(
        "sockstat",
        """
        sockets: used 903
        TCP: inuse 886 orphan 1 tw 623 alloc 887 mem 216
        UDP: inuse 3 mem 2
        RAW: inuse 0

        """,
        parse: { (text) throws(KernelTextError) in
            let sockets = try SockStat(parsing: text)
            return [
                "sockets: used": sockets.socketsUsed, "TCP: inuse": sockets.tcpInUse,
                "TCP: orphan": sockets.tcpOrphan, "TCP: tw": sockets.tcpTimeWait,
                "TCP: alloc": sockets.tcpAllocated, "TCP: mem": sockets.tcpMemoryPages,
                "UDP: inuse": sockets.udpInUse, "UDP: mem": sockets.udpMemoryPages,
            ]
        },
        model: { bytes in
            modelOfSockets(
                bytes,
                [
                    "sockets:": ["used"], "TCP:": ["inuse", "orphan", "tw", "alloc", "mem"],
                    "UDP:": ["inuse", "mem"],
                ], required: "TCP:")
        })

    static let sockStat6 = ParserCase(
        "sockstat6", "TCP6: inuse 2\nUDP6: inuse 4\nRAW6: inuse 1\nFRAG6: inuse 0 memory 0\n",
        parse: { (text) throws(KernelTextError) in
            let sockets = try SockStat6(parsing: text)
            return ["TCP6: inuse": sockets.tcpInUse, "UDP6: inuse": sockets.udpInUse]
        },
        model: { bytes in
            modelOfSockets(bytes, ["TCP6:": ["inuse"], "UDP6:": ["inuse"]], required: "TCP6:")
        })

    private static func modelOfSockets(
        _ bytes: [UInt8], _ wanted: [String: [String]], required: String
    ) -> Parsed? {
        guard let lines = Model.lines(bytes) else { return nil }
        var found = Parsed()
        for (heading, keys) in wanted { for key in keys { found["\(heading) \(key)"] = 0 } }
        var isThere = false
        for line in lines {
            guard let heading = wanted.keys.first(where: { line.starts(with: "\($0) ".utf8) }),
                let keys = wanted[heading]
            else { continue }
            if heading == required { isThere = true }
            let rest = line.dropFirst(heading.utf8.count + 1)
            // One blank follows the heading; more would be a field without a name.
            if rest.first == 32 || rest.first == 9 { return nil }
            let fields = Model.words(rest)
            guard fields.count % 2 == 0 else { return nil }
            for index in stride(from: 0, to: fields.count, by: 2) {
                guard fields[index].allSatisfy({ $0 > 32 }),
                    let value = Model.number(fields[index + 1])
                else { return nil }
                let key = Model.text(fields[index])
                if keys.contains(key) { found["\(heading) \(key)"] = value }
            }
        }
        return isThere ? found : nil
    }

    static let procStat = ParserCase(
        "stat",
        """
        cpu  27302 112428 50136 235225 1404 5 2418 370 6 7
        cpu0 13187 55871 24605 119395 299 0 1068 182 0 0
        intr 4760425 0 0 14
        ctxt 18984012
        btime 1795246731
        processes 69684
        procs_running 4
        procs_blocked 2
        softirq 6696746 0 171890

        """,
        parse: { (text) throws(KernelTextError) in
            let stat = try ProcStat(parsing: text)
            let times = stat.cpuNanoseconds
            return [
                "0": times.user, "1": times.nice, "2": times.system, "3": times.idle,
                "4": times.ioWait, "5": times.irq, "6": times.softIRQ, "7": times.steal,
                "8": times.guest, "9": times.guestNice, "intr": stat.interrupts,
                "ctxt": stat.contextSwitches, "btime": stat.bootTimeSeconds,
                "processes": stat.forks, "procs_running": stat.processesRunning,
                "procs_blocked": stat.processesBlocked,
            ]
        },
        model: { bytes in
            guard let lines = Model.lines(bytes), lines[0].starts(with: "cpu ".utf8),
                lines[0].last != 32, lines[0].last != 9
            else { return nil }
            var found = Parsed()
            for column in 0..<10 { found["\(column)"] = 0 }
            let words = Model.words(lines[0]).dropFirst()
            guard words.count >= 4 else { return nil }
            for (column, word) in words.enumerated() {
                guard let ticks = Model.number(word) else { return nil }
                if column < 10 { found["\(column)"] = ticks &* 10_000_000 }
            }
            let keys = ["intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"]
            for key in keys { found[key] = 0 }
            var hasBootTime = false
            for line in lines.dropFirst() {
                for key in keys where line.starts(with: "\(key) ".utf8) {
                    let digits = line.dropFirst(key.utf8.count + 1).prefix {
                        (48...57).contains($0)
                    }
                    guard let value = Model.number(digits) else { return nil }
                    found[key] = value
                    if key == "btime" { hasBootTime = true }
                }
            }
            return hasBootTime ? found : nil
        })

    static let mountInfo = ParserCase(
        "mountinfo",
        """
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 master:1 - cgroup cgroup rw,memory
        40 27 0:40 /a /mnt/my\\040disk ro - tmpfs none rw

        """,
        parse: { (text) throws(KernelTextError) in
            var found = Parsed()
            for (index, mount) in try MountInfo.parse(text).enumerated() {
                let parts = [
                    mount.device.description, mount.root, mount.mountPoint, mount.filesystemType,
                    mount.source, mount.superOptions,
                ]
                found["\(index) " + parts.joined(separator: "|")] = 1
            }
            return found
        },
        model: { bytes in
            if bytes.isEmpty { return [:] }
            guard let lines = Model.lines(bytes) else { return nil }
            var found = Parsed()
            for (index, line) in lines.enumerated() {
                let fields = Model.fields(line)
                guard fields.count >= 9, line.allSatisfy({ $0 >= 32 }),
                    Model.number(fields[0]) != nil, Model.number(fields[1]) != nil,
                    let device = Model.device(fields[2]),
                    // The first lone dash after the mount point.
                    let dash = fields[5...].firstIndex(of: [45]),
                    (2...3).contains(fields.count - dash - 1)
                else { return nil }
                let options = fields.count - dash - 1 == 3 ? fields[dash + 3] : []
                let parts =
                    [Array(device.utf8)] + [
                        fields[3], fields[4], fields[dash + 1], fields[dash + 2],
                    ]
                    + [options]
                found["\(index) " + parts.map(unescaped).joined(separator: "|")] = 1
            }
            return found
        })

    private static func unescaped(_ field: [UInt8]) -> String {
        var bytes: [UInt8] = []
        var rest = field[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == 92, digits.count == 3, digits.allSatisfy({ (48...55).contains($0) }) {
                let value = digits.reduce(0) { $0 * 8 + Int($1 - 48) }
                bytes.append(UInt8(value & 255))
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
