import Foundation
import Glibc
import Testing
import Wire

@testable import Aggregator

/// The producer against librdkafka's mock cluster, read back with kcat.
@Suite(
    .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["HEAPWIRE_MOCKBROKER"] != nil
            && BackendServer.has("kcat"), "HEAPWIRE_MOCKBROKER names the mock cluster's program"))
struct SinksKafkaTests {
    /// The mock cluster and its commands.
    private final class Cluster {
        private let process = Process()
        private let input = Pipe()
        private let output = Pipe()
        let bootstrap: String

        init(brokers: Int, partitions: Int) throws {
            let path = try #require(ProcessInfo.processInfo.environment["HEAPWIRE_MOCKBROKER"])
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = ["\(brokers)", "heapster-metrics", "\(partitions)"]
            process.standardInput = input
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            bootstrap = try Self.line(output)
        }

        deinit { process.terminate() }

        func command(_ text: String) throws {
            input.fileHandleForWriting.write(Data("\(text)\n".utf8))
            #expect(try Self.line(output) == "ok")
        }

        private static func line(_ pipe: Pipe) throws -> String {
            var bytes: [UInt8] = []
            while let byte = try pipe.fileHandleForReading.read(upToCount: 1)?.first {
                if byte == 0x0A { return String(decoding: bytes, as: UTF8.self) }
                bytes.append(byte)
            }
            throw BackendServer.Failure(description: "the mock cluster has ended")
        }

        var flag: String {
            "kafka:?"
                + bootstrap.split(separator: ",").map { "brokers=\($0)" }.joined(separator: "&")
        }

        /// Everything in the topic: partition, key, message.
        func messages() throws -> [(partition: String, key: String, value: String)] {
            let text = try SinksServerTests.output(
                "/usr/bin/kcat",
                [
                    "-b", bootstrap, "-C", "-t", "heapster-metrics", "-e", "-q", "-f",
                    "%p\\t%k\\t%s\\n",
                ])
            return text.split(separator: "\n").map {
                let parts = $0.split(separator: "\t", maxSplits: 2).map(String.init)
                return (parts[0], parts[1], parts[2])
            }
        }

        /// All messages must be there, once each, an entity's in one partition and in order.
        func expectAll(cycles: [Int64], pods: Int = 5) throws {
            let found = try messages()
            #expect(found.count == cycles.count * pods * SinkRun.pointsPerPod)
            #expect(Set(found.map(\.value)).count == found.count)
            for (_, group) in Dictionary(grouping: found, by: \.key) {
                #expect(Set(group.map(\.partition)).count == 1)
                let times = try group.map { message -> String in
                    let object = try JSONSerialization.jsonObject(with: Data(message.value.utf8))
                    let fields = try #require(object as? [String: Any])
                    return try #require(fields["MetricsTimestamp"] as? String)
                }
                #expect(times == times.sorted())
            }
        }
    }

    @Test(arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
    func everyCompressionIsReadBack(compression: String) throws {
        let cluster = try Cluster(brokers: 1, partitions: 4)
        let cycles = SinkRun.cycles(4)
        try SinkRun.send(cluster.flag + "&compression=\(compression)", cycles: cycles, pods: 12)
        try cluster.expectAll(cycles: cycles, pods: 12)
        let first = try #require(try cluster.messages().first)
        #expect(first.key.hasPrefix("namespace:default/pod:web-"))
        let object = try JSONSerialization.jsonObject(with: Data(first.value.utf8))
        let keys = try #require(object as? [String: Any]).keys.sorted()
        #expect(keys == ["MetricsName", "MetricsTags", "MetricsTimestamp", "MetricsValue"])
    }

    @Test(arguments: [6, 7, 14, 19, 5])
    func aBrokersErrorIsTriedAgainAndNothingIsDoubled(code: Int) throws {
        let cluster = try Cluster(brokers: 2, partitions: 4)
        let set = try SinkRun.make(cluster.flag)
        let cycles = SinkRun.cycles(6)
        for (index, cycle) in cycles.enumerated() {
            if index == 2 || index == 4 { try cluster.command("err 0 \(code)") }
            set.offer(SinkRun.batch(cycle))
            usleep(50_000)
        }
        set.stop(timeoutMilliseconds: 15_000)
        #expect(set.statuses[0].queuedRequests == 0, "\(set.statuses[0])")
        try cluster.expectAll(cycles: cycles)
    }

    @Test func brokersGoAndComeBack() throws {
        let cluster = try Cluster(brokers: 3, partitions: 6)
        let set = try SinkRun.make(cluster.flag)
        let cycles = SinkRun.cycles(12)
        for (index, cycle) in cycles.enumerated() {
            switch index {
            case 3: try cluster.command("down 1")
            case 6: try cluster.command("down 2")
            case 8: try cluster.command("up 1")
            case 9: try cluster.command("up 2")
            default: break
            }
            set.offer(SinkRun.batch(cycle))
            usleep(100_000)
        }
        set.stop(timeoutMilliseconds: 20_000)
        #expect(set.statuses[0].queuedRequests == 0, "\(set.statuses[0])")
        #expect(set.statuses[0].retriedRequests > 0)
        try cluster.expectAll(cycles: cycles)
    }
}
