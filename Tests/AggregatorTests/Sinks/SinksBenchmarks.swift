import Foundation
import Testing
import Wire

@testable import Aggregator

/// How fast encoders are. Small in every run of the tests, so that it cannot rot; for numbers:
/// `BENCHMARK=1 swift test -c release -Xswiftc -enable-testing --filter SinksBenchmarks`.
@Suite(.serialized)
struct SinksBenchmarks {
    private static let isFull = ProcessInfo.processInfo.environment["BENCHMARK"] == "1"

    /// Containers with 46 values each, a tenth of them rates with many digits.
    private static func batch(containers: Int) -> RecordedBatch {
        let metrics = Catalog.metrics.filter { $0.subjects.contains(.container) }.prefix(46)
        let sets = (0..<containers).map { number in
            var set = MetricSet()
            set.kind = .container
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

    private func measure(_ name: String, _ make: () -> any SinkEncoder) {
        let batch = Self.batch(containers: Self.isFull ? 4_000 : 20)
        let points = batch.sets.reduce(0) { $0 + $1.values.count }
        var encoder = make()
        var best = Double.infinity
        var byteCount = 0
        var pointCount = 0
        for _ in 0..<(Self.isFull ? 7 : 1) {
            byteCount = 0
            pointCount = 0
            let start = Clock.system.monotonicNanoseconds
            encoder.encode(batch) { request in
                byteCount += request.body.count
                pointCount += request.pointCount
            }
            best = min(best, Double(Clock.system.monotonicNanoseconds - start))
        }
        #expect(pointCount == points)
        if Self.isFull {
            let rate = Double(points) / best * 1_000
            print(
                "\(name): \(String(format: "%.2f", rate)) million points a second, "
                    + "\(String(format: "%.1f", Double(byteCount) / Double(points))) bytes a point")
        }
    }

    @Test func encoders() {
        measure("influxdb") { InfluxEncoder(.init()) }
        measure("influxdb with fields") { InfluxEncoder(.init(usesFields: true)) }
        measure("influxdb gzip") { InfluxEncoder(.init(), packing: .gzip) }
        measure("remote write 1.0") { RemoteWriteEncoder(.init()) }
        measure("remote write 2.0") { RemoteWrite2Encoder(.init()) }
        measure("graphite") { GraphiteEncoder() }
        measure("statsd") { StatsdEncoder(.init()) }
        measure("opentsdb") { OpenTSDBEncoder(clusterName: "c") }
        measure("elasticsearch") { ElasticsearchEncoder(clusterName: "c", isDataStream: false) }
        measure("kafka") { KafkaEncoder(clusterName: "c") }
        measure("riemann") { RiemannEncoder(.init()) }
        measure("wavefront") { WavefrontEncoder(.init()) }
        measure("otlp") { OTLPEncoder(clusterName: "c", packing: .none) }
        measure("otlp gzip") { OTLPEncoder(clusterName: "c") }
    }
}
