import Foundation
import Glibc
import Testing
import Wire

@testable import Aggregator

/// How fast encoders are. Small in every run of the tests, so that it cannot rot; `make bench-sinks` for
/// numbers, which also go into the file that BENCHMARK_OUTPUT names, as a line of JSON.
@Suite(.serialized)
struct SinksBenchmarks {
    private static let partial: Set = [
        "bigquery", "honeycomb", "gcm", "librato", "hawkular", "stackdriver",
    ]
    private static let isFull = ProcessInfo.processInfo.environment["BENCHMARK"] == "1"

    /// Containers with 46 values each, a tenth of them rates with many digits.
    private static func batch(containers: Int) -> RecordedBatch {
        let metrics = Catalog.metrics.filter { $0.subjects.contains(.container) }.prefix(46)
        let sets = (0..<containers).map { number in
            var set = MetricSet()
            set.kind = .container
            // Cumulative values need to say since when.
            set.collectionStartTime = 1_795_240_000_000
            set.entityCreateTime = 1_795_240_000_000
            set.labels = [
                Label(key: "container_base_image", value: "registry.local/team/service:1.2.3"),
                Label(key: "container_name", value: "service"),
                Label(key: "host_id", value: ""),
                Label(key: "hostname", value: "node-\(number % 97)"),
                Label(key: "labels", value: "app:service,pod-template-hash:5d4f8c7b9,tier:backend"),
                Label(key: "namespace_id", value: "4f6b1f6e-95a1-4a8c-8f5e-2f1f7e3c1f00"),
                Label(key: "namespace_name", value: "team-\(number % 50)"),
                Label(key: "nodename", value: "node-\(number % 97)"),
                Label(key: "pod_id", value: "0c7c7d2e-0b0c-4d52-9a37-\(number)"),
                Label(key: "pod_name", value: "service-5d4f8c7b9-\(number)"),
                Label(key: "type", value: "pod_container"),
            ]
            set.values = metrics.enumerated().map { index, metric in
                let value: MetricValue =
                    index % 10 == 9
                    ? .float(Double(number &* 31 &+ index) / 7)
                    : .integer(Int64(number &* 7_919 &+ index &* 104_729) &* 1_024)
                return MetricSample(metric.id, value)
            }
            return set
        }
        return RecordedBatch(timestamp: 1_795_248_080_000, sets: sets)
    }

    /// Nanoseconds of this thread's processor time: other programs do not count.
    private static var processorTime: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    /// - Returns: million points a second of processor time, the best of several rounds.
    private func measure(_ name: String, _ make: () -> any SinkEncoder) -> Double {
        let batch = Self.batch(containers: Self.isFull ? 4_000 : 20)
        let points = batch.sets.reduce(0) { $0 + $1.values.count }
        var encoder = make()
        var best = Double.infinity
        var byteCount = 0
        var pointCount = 0
        for _ in 0..<(Self.isFull ? 9 : 1) {
            byteCount = 0
            pointCount = 0
            let start = Self.processorTime
            encoder.encode(batch) { request in
                byteCount += request.body.count
                pointCount += request.pointCount
            }
            best = min(best, Self.processorTime - start)
        }
        // Some backends have a place for a part of the metrics only; those count that are sent.
        let isComplete = pointCount == points || Self.partial.contains(name)
        #expect(isComplete && pointCount > 0, "\(name): \(pointCount) of \(points)")
        let rate = Double(pointCount) / best * 1_000
        if Self.isFull {
            print(
                "\(name): \(String(format: "%.2f", rate)) million points a second of processor time, "
                    + "\(String(format: "%.1f", Double(byteCount) / Double(pointCount))) bytes a point"
            )
        }
        return rate
    }

    @Test func encoders() throws {
        let encoders: [(String, () -> any SinkEncoder)] = [
            ("influxdb", { InfluxEncoder(.init()) }),
            ("influxdb_with_fields", { InfluxEncoder(.init(usesFields: true)) }),
            ("influxdb_gzip", { InfluxEncoder(.init(), packing: .gzip) }),
            ("remote_write_1", { RemoteWriteEncoder(.init()) }),
            ("remote_write_2", { RemoteWrite2Encoder(.init()) }),
            ("graphite", { GraphiteEncoder() }), ("statsd", { StatsdEncoder(.init()) }),
            ("opentsdb", { OpenTSDBEncoder(clusterName: "c") }),
            ("elasticsearch", { ElasticsearchEncoder(clusterName: "c", isDataStream: false) }),
            ("kafka", { KafkaEncoder(clusterName: "c") }),
            ("riemann", { RiemannEncoder(.init()) }), ("wavefront", { WavefrontEncoder(.init()) }),
            ("otlp", { OTLPEncoder(clusterName: "c", packing: .none) }),
            ("otlp_gzip", { OTLPEncoder(clusterName: "c") }),
            ("redis_stdout", { SetJSONEncoder(clusterName: "c") }), ("log", { LogEncoder() }),
            ("librato", { LibratoEncoder(prefix: "", tags: []) }),
            ("honeycomb", { HoneycombEncoder() }), ("hawkular", { HawkularEncoder(.init()) }),
            ("bigquery", { BigQueryEncoder(clusterName: "c") }),
            ("gcm", { GCMEncoder(onlyAutoscaling: false) }),
            (
                "stackdriver",
                { StackdriverEncoder(.init(usesOldResources: true, usesNewResources: true)) }
            ),
        ]
        var rates: [String: Double] = [:]
        for (name, make) in encoders {
            rates[name] = (measure(name, make) * 100).rounded() / 100
        }
        if let path = ProcessInfo.processInfo.environment["BENCHMARK_OUTPUT"] {
            let document: [String: Any] = [
                "benchmark": "sinks", "unit": "million points a second of processor time",
                "rates": rates,
            ]
            var line = try JSONSerialization.data(
                withJSONObject: document, options: [.sortedKeys])
            line.append(0x0A)
            try line.write(to: URL(fileURLWithPath: path))
        }
    }
}
