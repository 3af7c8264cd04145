import Foundation
import Testing
import Wire

@testable import Aggregator

/// Line formats against what Heapster's own sinks sent for the same batches.
@Suite(.enabled(if: HeapsterGolden.isPresent))
struct SinksLineFormatTests {
    @Test(arguments: 0...2)
    func theLogSinkPrintsTheRecordedText(n: Int) throws {
        let batch = try HeapsterGolden.batch(n)
        let ours = HeapsterGolden.requests(batch, LogEncoder()).map {
            String(decoding: $0.body, as: UTF8.self)
        }.joined()
        let theirs = try HeapsterGolden.text("batches/summary_n\(n).txt")
        func comparable(_ text: String) -> [String] {
            text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                .filter { !$0.hasPrefix("DataBatch") }
                // Heapster wrote a child's labels in the order of a hash table.
                .reduce(into: [[String]]()) { groups, line in
                    let isLabel = line.hasPrefix("         ")
                    let continues = groups.last?.first?.hasPrefix("         ") ?? false
                    if isLabel && continues {
                        groups[groups.count - 1].append(line)
                    } else {
                        groups.append([line])
                    }
                }.flatMap { $0.sorted() }
        }
        #expect(ours.hasPrefix("DataBatch     Timestamp: 2026-11-21 08:0"))
        let (a, b) = (comparable(ours), comparable(theirs))
        let first = zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(
            first == nil && a.count == b.count, "\(a.count) \(b.count) \(String(describing: first))"
        )
    }

    @Test(arguments: 0...2)
    func influxLinesAreHeapsters(n: Int) throws {
        let encoder = InfluxEncoder(.init(clusterName: "c1"))
        let ours = HeapsterGolden.lines(try HeapsterGolden.batch(n), encoder)
        let theirs = try HeapsterGolden.body("sinks/runA/influx_00\(n + 3).txt")
            .split(separator: "\n").map(String.init)
        #expect(ours.count == theirs.count)
        let difference = HeapsterGolden.differences(ours, theirs) { $0.hasPrefix("uptime,") }
        #expect(difference == "")
    }

    @Test func influxFieldsOfAFamilyShareALine() throws {
        let batch = try HeapsterGolden.batch(1)
        let plain = HeapsterGolden.lines(batch, InfluxEncoder(.init(clusterName: "c1")))
        let fields = HeapsterGolden.lines(
            batch, InfluxEncoder(.init(usesFields: true, clusterName: "c1")))
        // An independent reading of both layouts must give the same points.
        func points(_ lines: [String], usesFields: Bool) -> Set<String> {
            var points = Set<String>()
            for line in lines {
                let parts = Self.split(line)
                let comma = parts[0].firstIndex(of: ",") ?? parts[0].endIndex
                let (measurement, tags) = (parts[0][..<comma], parts[0][comma...])
                for field in parts[1].split(separator: ",") {
                    let pair = field.split(separator: "=")
                    let name =
                        usesFields && pair[0] != "value"
                        ? "\(measurement)/\(pair[0])" : String(measurement)
                    points.insert("\(name)\(tags) \(pair[1]) \(parts[2])")
                }
            }
            return points
        }
        #expect(points(fields, usesFields: true) == points(plain, usesFields: false))
        #expect(fields.count < plain.count / 2)
    }

    /// Splits at spaces that no backslash escapes.
    private static func split(_ line: String) -> [String] {
        var parts = [""]
        var escapes = false
        for character in line {
            if character == " " && !escapes {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
            escapes = character == "\\" && !escapes
        }
        return parts
    }

    @Test func influxDropsCountersWhenAsked() throws {
        let lines = HeapsterGolden.lines(
            try HeapsterGolden.batch(1), InfluxEncoder(.init(dropsCounters: true)))
        let names = Set(lines.map { String($0.prefix { $0 != "," }) })
        for counter in ["cpu/usage", "memory/page_faults", "network/rx", "network/tx_errors"] {
            #expect(!names.contains(counter))
        }
        #expect(names.contains("cpu/usage_rate") && names.contains("uptime"))
    }

    @Test(arguments: 0...2)
    func graphiteLinesAreHeapstersButForResources(n: Int) throws {
        let ours = HeapsterGolden.lines(try HeapsterGolden.batch(n), GraphiteEncoder())
        let stamp = String(HeapsterGolden.cycles[n] / 1_000)
        let theirs = try HeapsterGolden.text("sinks/runA/graphite_tcp.txt").split(separator: "\n")
            .map(String.init).filter { $0.hasSuffix(" \(stamp)") }
        #expect(ours.count == theirs.count)
        func isIgnored(_ line: String) -> Bool {
            line.contains(".uptime ") || line.contains(".filesystem.")
                || line.contains(".accelerator.")
        }
        #expect(HeapsterGolden.differences(ours, theirs, ignoring: isIgnored) == "")
        // Heapster's filesystems collide on one path; ours do not, and nothing is lost.
        let paths = ours.map { String($0.prefix { $0 != " " }) }
        #expect(Set(paths).count == paths.count)
        #expect(paths.contains { $0.hasSuffix(".filesystem.logs.usage") })
    }

    @Test(arguments: 0...2)
    func statsdLinesAreHeapstersButForColons(n: Int) throws {
        var options = StatsdEncoder.Options()
        options.prefix = "pfx"
        let ours = HeapsterGolden.lines(try HeapsterGolden.batch(n), StatsdEncoder(options))
        // Four batches were recorded without a mark between them, and a few datagrams were lost.
        var recorded: [String: [Double]] = [:]
        for line in try HeapsterGolden.text("sinks/runA/statsd.txt").split(separator: "\n") {
            // Heapster's accelerators collided, and volumes' names were cut at their colon.
            guard line.hasPrefix("pfx."), !line.contains(".Volume:"),
                !line.contains(".accelerator/"),
                let colon = line.firstIndex(of: ":")
            else { continue }
            recorded[String(line[..<colon]), default: []].append(
                try #require(Double(line[colon...].dropFirst().dropLast(2))))
        }
        let batchCount = recorded.filter { !$0.key.contains("filesystem/") }.values
            .map(\.count).max()
        var checked = 0
        for line in ours where !line.contains("uptime:") {
            let colon = try #require(line.firstIndex(of: ":"))
            guard let values = recorded[String(line[..<colon])], values.count == batchCount
            else { continue }
            checked += 1
            // Heapster wrote large numbers with an exponent: the same value in another spelling.
            let value = try #require(Double(line[colon...].dropFirst().dropLast(2)))
            #expect(values.contains(value), "\(line)")
        }
        #expect(checked > 80)
        let names = Set(ours.map { String($0.prefix { $0 != ":" }) })
        if n == 1 {
            // Every recorded name is ours.
            #expect(recorded.keys.filter { !names.contains($0) } == [])
        }
    }

    @Test(arguments: 0...2)
    func openTSDBPointsAreHeapstersAndLabeledOnesToo(n: Int) throws {
        let requests = HeapsterGolden.requests(
            try HeapsterGolden.batch(n), OpenTSDBEncoder(clusterName: "c1"))
        var ours: [String] = []
        for request in requests { ours += try Self.points(Data(request.body)) }
        var theirs: [String] = []
        for file in try HeapsterGolden.files("opentsdb_") {
            let body = try HeapsterGolden.body(file)
            if body.hasPrefix("[") { theirs += try Self.points(Data(body.utf8)) }
        }
        let stamp = "\"timestamp\":\(HeapsterGolden.cycles[n] / 1_000)"
        // Heapster's Elasticsearch sink wrote its tag into labels that this sink was reading.
        theirs = theirs.filter { $0.contains(stamp) }.map {
            $0.replacingOccurrences(of: "\"cluster_name\":\"c1\",", with: "")
        }
        func isIgnored(_ point: String) -> Bool {
            point.contains("uptime_") || point.contains("resource_id")
                || point.contains("accelerator_id")
        }
        // A few requests were not recorded: what was, must be ours.
        let known = Set(ours)
        #expect(theirs.filter { !isIgnored($0) && !known.contains($0) } == [])
        #expect(theirs.count > ours.filter { !isIgnored($0) }.count * 9 / 10)
        #expect(ours.contains { $0.contains("filesystem_usage_gauge") })
    }

    private static func points(_ json: Data) throws -> [String] {
        let array = try #require(try JSONSerialization.jsonObject(with: json) as? [Any])
        return try array.map {
            String(
                decoding: try JSONSerialization.data(withJSONObject: $0, options: .sortedKeys),
                as: UTF8.self)
        }
    }
}
