import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// The producer against librdkafka's mock cluster, read back with kcat; against Tansu, a broker of other
/// descent, read back with other clients; and, for what neither can, against a broker in Python.
@Suite(.serialized, .enabled(if: SinkPrograms.arePresent && BackendServer.has("kcat")))
struct SinksKafkaTests {
    /// The mock cluster and its commands.
    private final class Cluster {
        private let process = Process()
        private let input = Pipe()
        private let output = Pipe()
        let bootstrap: String

        init(brokers: Int, partitions: Int) throws {
            process.executableURL = URL(fileURLWithPath: try #require(SinkPrograms.python))
            process.arguments = [
                SinkPrograms.script("kafka_mock.py"), "\(brokers)", "heapster-metrics",
                "\(partitions)",
            ]
            process.standardInput = input
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.start()
            bootstrap = try Self.line(output)
        }

        deinit {
            Glibc.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }

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

        func expectAll(cycles: [Int64], pods: Int = 5) throws {
            try SinksKafkaTests.expectAll(try messages(), cycles: cycles, pods: pods)
        }
    }

    /// All messages must be there, once each, an entity's in one partition and in order.
    private static func expectAll(
        _ found: [(partition: String, key: String, value: String)], cycles: [Int64], pods: Int
    ) throws {
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

    private static func messages(
        _ objects: [[String: Any]]
    ) throws -> [(partition: String, key: String, value: String)] {
        try objects.map {
            let partition = try #require($0["partition"] as? Int)
            return (
                "\(partition)", try #require($0["key"] as? String),
                try #require($0["value"] as? String)
            )
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

    @Test func leadersChangeBetweenAndUnderRequests() throws {
        let cluster = try Cluster(brokers: 3, partitions: 6)
        let set = try SinkRun.make(cluster.flag)
        let cycles = SinkRun.cycles(10)
        for (index, cycle) in cycles.enumerated() {
            for partition in 0..<6 where index % 3 == 1 {
                try cluster.command("leader \(partition) \((partition + index) % 3 + 1)")
            }
            set.offer(SinkRun.batch(cycle))
            usleep(50_000)
        }
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].queuedRequests == 0, "\(set.statuses[0])")
        try cluster.expectAll(cycles: cycles)
    }

    /// What the broker will never take is set aside, the other partitions' messages arrive, and the
    /// sequence numbers go on.
    @Test func aRefusedBatchIsSetAsideAlone() throws {
        let cluster = try Cluster(brokers: 1, partitions: 4)
        let set = try SinkRun.make(cluster.flag)
        let cycles = SinkRun.cycles(3)
        for (index, cycle) in cycles.enumerated() {
            // 10: MESSAGE_TOO_LARGE
            if index == 1 { try cluster.command("err 0 10") }
            set.offer(SinkRun.batch(cycle))
            #expect(
                SinkRun.wait {
                    set.statuses[0].queuedRequests == 0
                        && set.statuses[0].deliveredRequests + set.statuses[0].refusedRequests
                            > index
                })
        }
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.refusedRequests == 1 && status.queuedRequests == 0, "\(status)")
        let found = try cluster.messages()
        let refused = 3 * 5 * SinkRun.pointsPerPod - found.count
        #expect(refused > 0 && refused < 5 * SinkRun.pointsPerPod)
        #expect(Set(found.map(\.value)).count == found.count)
        #expect(status.lastError?.contains("too large") == true, "\(status)")
    }

    // MARK: Tansu

    @Test(
        arguments: ["none", "gzip", "snappy", "lz4", "zstd"], ["kafka-python", "confluent"])
    func aBrokerOfOtherDescentTakesEveryCompression(compression: String, client: String) throws {
        let broker = try SinkPrograms.tansu()
        let address = "127.0.0.1:\(broker.port)"
        let made = try SinkPrograms.lines(
            "kafka_topic.py", [address, "heapster-metrics", "4"])
        #expect(made.count == 1)
        let cycles = SinkRun.cycles(4)
        try SinkRun.send(
            "kafka:?brokers=\(address)&compression=\(compression)", cycles: cycles, pods: 12)
        let wanted = cycles.count * 12 * SinkRun.pointsPerPod
        let found = try SinkPrograms.lines(
            "kafka_read.py", [client, address, "heapster-metrics", "\(wanted)"])
        try Self.expectAll(try Self.messages(found), cycles: cycles, pods: 12)
        #expect(Set(found.compactMap { $0["partition"] as? Int }).count == 4)
        #expect(Set(found.compactMap { ($0["timestamp"] as? NSNumber)?.int64Value }) == Set(cycles))
    }

    // MARK: Login and TLS

    /// Without TLS and with, with a client certificate, and with each mechanism.
    @Test(arguments: ["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], ["", "tls", "mutual"])
    func aBrokerThatWantsLoginAndTLS(mechanism: String, transport: String) throws {
        let certificates = try TestCertificates()
        let folder = certificates.folder.path
        var arguments: [String] = []
        var flag = "kafka:?compression=zstd"
        if !mechanism.isEmpty {
            arguments += ["sasl=\(mechanism)", "user=al=ice", "password=pa,ss wörd"]
            let file = certificates.folder.appendingPathComponent("password")
            try Data("pa,ss wörd\n".utf8).write(to: file)
            flag += "&user=al%3Dice&passwordfile=\(file.path)&sasl=\(mechanism.lowercased())"
        }
        if !transport.isEmpty {
            arguments.append("tls=\(folder)/server.pem,\(folder)/server.key")
            flag += "&cacert=\(folder)/ca.pem"
        }
        if transport == "mutual" {
            arguments.append("ca=\(folder)/ca.pem")
            flag += "&cert=\(folder)/client.pem&key=\(folder)/client.key"
        }
        let broker = try SinkPrograms.server("kafka_broker.py", arguments)
        let cycles = SinkRun.cycles(3)
        try SinkRun.send(flag + "&brokers=127.0.0.1:\(broker.port)", cycles: cycles)
        let printed = try SinkPrograms.objects(broker.output)
        #expect(printed.allSatisfy { $0["violation"] == nil }, "\(broker.output)")
        let messages = printed.filter { $0["value"] != nil }
        try Self.expectAll(try Self.messages(messages), cycles: cycles, pods: 5)
        #expect(Set(messages.compactMap { $0["compression"] as? Int }) == [4])
    }

    @Test(arguments: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    func aWrongPasswordIsSaidAndNothingIsLost(mechanism: String) throws {
        let broker = try SinkPrograms.server(
            "kafka_broker.py", ["sasl=\(mechanism)", "user=alice", "password=right"])
        let set = try SinkRun.make(
            "kafka:?brokers=127.0.0.1:\(broker.port)&user=alice&password=wrong&sasl="
                + mechanism.lowercased())
        set.offer(SinkRun.batch(SinkRun.cycles(1)[0]))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].lastError != nil })
        let status = set.statuses[0]
        set.stop(timeoutMilliseconds: 100)
        #expect(status.queuedRequests == 1 && status.deliveredPoints == 0, "\(status)")
        #expect(status.lastError?.contains("user or password are wrong") == true, "\(status)")
        #expect(status.lastError?.contains("wrong\"") != true)
    }
}
