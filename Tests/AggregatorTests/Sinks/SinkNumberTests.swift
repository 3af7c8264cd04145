import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Numbers of any size, written into room that was reckoned before: read back, they are the same.
@Suite struct SinkNumberTests {
    private static let extremes: [MetricValue] =
        [0, -0.0, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude]
        .map { .float($0) }
        + [
            1e-4, 9.999999999999999e-5, -1e-5, 0x1p53, 0x1p53 - 0.5, 1e20, 1e21, 1e22, 1.0 / 3,
            -2e-308,
        ]
        .map { .float($0) } + [.min, .max, 0, -1, 9, 10].map { .integer($0) }

    /// Sets with values that seeds and extremes make, one value for each metric of some families.
    private static func batch() -> RecordedBatch {
        var random = SeededRandom(seed: 7)
        let metrics = Catalog.metrics.filter { $0.subjects.contains(.container) }
        let sets = (0..<100).map { number in
            var set = MetricSet()
            set.kind = .container
            set.labels = [
                Label(key: "container_name", value: "c\(number)"),
                Label(key: "namespace_name", value: "n"), Label(key: "pod_name", value: "p"),
                Label(key: "type", value: "pod_container"),
            ]
            set.values = metrics.map { metric in
                let value: MetricValue
                switch Int.random(in: 0..<4, using: &random) {
                case 0: value = extremes[Int.random(in: extremes.indices, using: &random)]
                case 1: value = .integer(Int64.random(in: .min ... .max, using: &random))
                default:
                    let bits = Double(bitPattern: UInt64.random(in: 0 ... .max, using: &random))
                    value = .float(bits.isFinite ? bits : 1)
                }
                return MetricSample(metric.id, value)
            }
            return set
        }
        return RecordedBatch(timestamp: 1_795_248_080_000, sets: sets)
    }

    private static func encoded(_ encoder: some SinkEncoder, _ batch: RecordedBatch) -> String {
        var (encoder, text) = (encoder, "")
        encoder.encode(batch) { text += String(decoding: $0.body, as: UTF8.self) }
        return text
    }

    @Test(arguments: [false, true]) func lineProtocolReadsBack(usesFields: Bool) throws {
        let batch = Self.batch()
        let text = Self.encoded(InfluxEncoder(.init(usesFields: usesFields)), batch)
        var found: [String: MetricValue] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            let container = try #require(
                words[0].split(separator: ",").first { $0.hasPrefix("container_name=") })
            for field in words[1].split(separator: ",") {
                let parts = field.split(separator: "=")
                let measurement = words[0].prefix { $0 != "," }
                let isAlone = !usesFields || parts[0] == "value"
                let name = isAlone ? String(measurement) : "\(measurement)/\(parts[0])"
                let value: MetricValue =
                    parts[1].hasSuffix("i")
                    ? .integer(try #require(Int64(parts[1].dropLast())))
                    : .float(try #require(Double(parts[1])))
                found["\(name) \(container)"] = value
            }
        }
        for (number, set) in batch.sets.enumerated() {
            for sample in set.values {
                #expect(
                    found["\(sample.metric.name) container_name=c\(number)"] == sample.value,
                    "\(sample)")
            }
        }
    }

    private struct Document: Decodable {
        var tags: [String: String]
        var metrics: [String: [String: Double]]?
        var name: String?
        var value: [String: Double]?

        enum CodingKeys: String, CodingKey {
            case tags = "MetricsTags"
            case metrics = "Metrics"
            case name = "MetricsName"
            case value = "MetricsValue"
        }
    }

    @Test func documentsReadBack() throws {
        let batch = Self.batch()
        let text = Self.encoded(ElasticsearchEncoder(clusterName: "c", isDataStream: true), batch)
        var found: [String: Double] = [:]
        for (index, line) in text.split(separator: "\n").enumerated() where index % 2 == 1 {
            // Not JSONSerialization, which reads fractions a little wrong.
            let document = try JSONDecoder().decode(Document.self, from: Data(line.utf8))
            var metrics = document.metrics ?? [:]
            if let name = document.name { metrics[name] = document.value }
            let container = document.tags["container_name"] ?? ""
            for (name, value) in metrics { found["\(name) \(container)"] = value["value"] }
        }
        for (number, set) in batch.sets.enumerated() {
            for sample in set.values {
                #expect(
                    found["\(sample.metric.name) c\(number)"] == sample.value.double, "\(sample)")
            }
        }
    }
}
