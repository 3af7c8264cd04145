import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Damage of the files is counted where whoever watches the aggregator looks: `/metrics`.
@Suite struct LogDamageMetricsTests {
    /// A folder with a few segments, as a process leaves it.
    private func makeLog(_ folder: String) throws -> [String] {
        for process in 0..<4 {
            let cluster = Cluster(configuration: ModelConfiguration()) { _ in nil }
            let log = try DurableLog(
                folder: folder, configuration: LogConfiguration(), cluster: cluster,
                directory: PodDirectory(), threadCount: 1)
            let agent = SyntheticNode("n1")
            let model = try #require(cluster.enter(agent.hello, now: 0)).0
            _ = model.begin(agent.hello)
            try agent.add(0, Subject(kind: .node), [.memoryUsage])
            for step: Int64 in 1...20 {
                agent.set(0, .memoryUsage, step)
                try model.receive(agent.frame(step: (Int64(process) * 20 + step) * 10_000))
            }
            log.stop()
        }
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    /// The log's counters after a start with that folder.
    private func metrics(_ folder: String) throws -> String {
        let cluster = Cluster(configuration: ModelConfiguration()) { _ in nil }
        let log = try DurableLog(
            folder: folder, configuration: LogConfiguration(), cluster: cluster,
            directory: PodDirectory(), threadCount: 1)
        try log.readPast {}
        log.stopReading()
        defer { log.stop() }
        #expect(cluster.node(named: "n1") != nil)
        var text = PrometheusText()
        log.write(to: &text)
        return String(decoding: text.bytes, as: UTF8.self)
    }

    private func value(_ name: String, _ text: String) -> Double? {
        text.split(separator: "\n").first { $0.hasPrefix(name) && !$0.hasPrefix("#") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
    }

    private func expectDamage(
        places: Double, bytes: ClosedRange<Double>, _ change: (String, [String]) throws -> String
    ) throws {
        let folder = try TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let names = try makeLog(folder.url.path)
        #expect(names.count == 4)
        let name = try change(folder.url.path, names)
        let text = try metrics(folder.url.path)
        #expect(value("heapwire_log_damaged_places", text) == places, "\(text)")
        let found = value("heapwire_log_damaged_bytes{file=\"\(name)\"}", text) ?? -1
        #expect(bytes.contains(found), "\(text)")
    }

    @Test func anUndamagedLogCountsNone() throws {
        let folder = try TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        _ = try makeLog(folder.url.path)
        #expect(value("heapwire_log_damaged_places", try metrics(folder.url.path)) == 0)
        #expect(value("heapwire_log_complete", try metrics(folder.url.path)) == 1)
    }

    @Test func aFlippedBitIsCounted() throws {
        try expectDamage(places: 1, bytes: 10...10_000) { folder, names in
            let path = "\(folder)/\(names[1])"
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[bytes.count / 2] ^= 4
            try bytes.write(to: URL(fileURLWithPath: path))
            return names[1]
        }
    }

    @Test func aSegmentThatIsGoneIsCounted() throws {
        try expectDamage(places: 1, bytes: 0...0) { folder, names in
            try FileManager.default.removeItem(atPath: "\(folder)/\(names[1])")
            return names[1]
        }
    }

    @Test func aTornEndIsCounted() throws {
        try expectDamage(places: 1, bytes: 1...200) { folder, names in
            let path = "\(folder)/\(names[3])"
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            try bytes.dropLast(5).write(to: URL(fileURLWithPath: path))
            return names[3]
        }
    }
}
