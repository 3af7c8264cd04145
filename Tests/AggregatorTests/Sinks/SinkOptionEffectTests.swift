import Foundation
import Testing
import Wire

@testable import Aggregator

/// What options change in the bytes that a sink makes, from the flag to the request.
@Suite struct SinkOptionEffectTests {
    private static let cycle: Int64 = 1_795_248_080_000

    private func batch(_ cycle: Int64 = Self.cycle) -> RecordedBatch {
        var batch = SinkRun.batch(cycle, pods: 1)
        batch.sets[0].collectionStartTime = cycle - 60_000
        batch.sets[0].values.append(MetricSample(.memoryWorkingSet, .integer(1 << 19)))
        return batch
    }

    /// The requests' bodies of batches that come one after the other.
    private func bodies(_ flag: String, _ batches: [RecordedBatch]) throws -> [String] {
        let sink = try #require(try ConfiguredSink.make(flag))
        var encoder = sink.plan.encoder
        return batches.map { batch in
            var text = ""
            encoder.encode(batch, filter: sink.settings.filter, cluster: sink.settings.cluster) {
                text += String(decoding: $0.body, as: UTF8.self)
            }
            return text
        }
    }

    private func body(_ flag: String) throws -> String { try bodies(flag, [batch()])[0] }

    @Test func influxLeavesOutCountersThatHaveARate() throws {
        let all = try body("influxdb:http://h")
        let fewer = try body("influxdb:http://h?disable_counter_metrics=true")
        #expect(all.contains("cpu/usage,") && all.contains("cpu/usage_rate,"))
        #expect(!fewer.contains("cpu/usage,") && fewer.contains("cpu/usage_rate,"))
        #expect(fewer.contains("memory/usage,") && fewer.contains("filesystem/usage,"))
    }

    @Test func hawkularsLabelsAreCalledAsAskedFor() throws {
        let plain = try body("hawkular:http://h")
        #expect(plain.contains("\"labels.tier\":\"front end\""), "\(plain.prefix(600))")
        let other = try body("hawkular:http://h?labelTagPrefix=kube.&labelToTenant=namespace_name")
        #expect(other.contains("\"kube.tier\":\"front end\"") && !other.contains("\"labels.tier\""))
        #expect(other.contains("default\tgauges/") && !plain.contains("default\tgauges/"))
        var node = batch()
        node.sets[0].kind = .node
        node.sets[0].setLabel(Label(key: "host_id", value: "machine-7"))
        let named = try bodies("hawkular:http://h?labelNodeId=host_id", [node])[0]
        #expect(named.contains("gauges/machine/machine-7/memory/usage"), "\(named.prefix(600))")
        let filtered = try body("hawkular:http://h?filter=name(memory*)&filter=label(none:*)")
        #expect(!filtered.contains("memory/usage") && filtered.contains("cpu/usage_rate"))
        #expect(try body("hawkular:http://h?filter=label(pod_name:web-*)").isEmpty)
    }

    @Test func stackdriversResourcesAreOldNewOrBoth() throws {
        func resources(_ options: String) throws -> Set<String> {
            let text = try body("stackdriver:?project=p&zone=z&\(options)")
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            let series = try #require(object["timeSeries"] as? [[String: Any]])
            return Set(
                series.compactMap { ($0["resource"] as? [String: Any])?["type"] as? String })
        }
        #expect(try resources("use_new_resources=false") == ["gke_container"])
        #expect(
            try resources("use_old_resources=false&use_new_resources=true") == ["k8s_container"])
        #expect(try resources("use_new_resources=true") == ["gke_container", "k8s_container"])
    }

    /// Cycles within the interval are left out; what came late of one that was sent is not.
    @Test func stackdriversIntervalLeavesOutCycles() throws {
        let times = [0, 0, 10_000, 50_000, 60_000, 70_000, 130_000].map { Self.cycle + $0 }
        let sent = try bodies(
            "stackdriver:?project=p&zone=z&min_interval_sec=60", times.map { batch($0) })
        #expect(sent.map(\.isEmpty) == [false, false, true, true, false, true, false])
    }

    @Test func machineryOptionsAreNumbersOfTheRightUnit() throws {
        let sink = try #require(
            try ConfiguredSink.make(
                "graphite:tcp://h:1?queue-bytes=1Mi&interval=1m&timeout=3s&name=n"))
        #expect(sink.queueByteCountMax == 1 << 20)
        #expect(sink.settings.intervalMilliseconds == 60_000)
        #expect(sink.settings.timeoutMilliseconds == 3_000 && sink.settings.name == "n")
        for (flag, count) in [
            ("influxdb:http://h?concurrency=3", 3), ("opentsdb:http://h?concurrency=4", 4),
            ("hawkular:http://h?concurrencyLimit=5", 5),
            ("elasticsearch:http://h?bulkWorkers=6", 6),
            ("remotewrite:http://h?concurrency=7", 7),
        ] {
            #expect(try ConfiguredSink.make(flag)?.plan.concurrency == count, "\(flag)")
        }
    }

    @Test func opentsdbWaitsForStorageWhenAsked() throws {
        for (flag, target) in [
            ("opentsdb:SERVER?timeout=30s", "/api/put?details "),
            ("opentsdb:SERVER?sync=true", "/api/put?details&sync "),
        ] {
            let server = try SinkBackendServer([.status(204)])
            defer { server.stop() }
            try SinkRun.send(
                flag.replacing("SERVER", with: "http://127.0.0.1:\(server.port)"),
                cycles: SinkRun.cycles(1))
            #expect(server.requests.first?.head.contains("POST \(target)") == true, "\(flag)")
        }
    }
}
