import Foundation
import Testing
import Wire

@testable import Aggregator

/// Heapster's recorded batches and what its sinks made of them, beside the package in `../shared`.
enum HeapsterGolden {
    /// The recordings' directory; `nil`, with a printed reason, where it is missing.
    static let directory: URL? = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let candidates = [
            package.deletingLastPathComponent().appendingPathComponent("shared/golden/heapster")
        ]
        let found = candidates.first { FileManager.default.fileExists(atPath: $0.path) }
        if found == nil { print("skipped: there is no \(candidates[0].path)") }
        return found
    }()

    static var isPresent: Bool { directory != nil }

    /// The timestamps of the recorded sink run's batches n = 0...2, milliseconds.
    static let cycles: [Int64] = [1_795_248_080_000, 1_795_248_090_000, 1_795_248_100_000]

    static func text(_ path: String) throws -> String {
        let directory = try #require(directory)
        return try String(contentsOf: directory.appendingPathComponent(path), encoding: .utf8)
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        let directory = try #require(directory)
        return Array(try Data(contentsOf: directory.appendingPathComponent(path)))
    }

    static func files(_ prefix: String) throws -> [String] {
        let directory = try #require(directory)
        let folder = directory.appendingPathComponent("sinks/runA")
        return try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasPrefix(prefix) }.sorted().map { "sinks/runA/\($0)" }
    }

    /// Body of a recorded request, without the recorder's response.
    static func body(_ path: String) throws -> String {
        let text = try text(path)
        let start = try #require(text.range(of: "\n\n")).upperBound
        let end = text.range(of: "\n--- response", options: .backwards)?.lowerBound ?? text.endIndex
        return start <= end ? String(text[start..<end]) : ""
    }

    /// A recorded batch with the timestamp of the sink run.
    static func batch(_ n: Int) throws -> RecordedBatch {
        let sets = try parse(text("batches/summary_n\(n).txt"))
        return RecordedBatch(timestamp: cycles[n], sets: sets)
    }

    /// The log sink's text back into sets.
    static func parse(_ text: String) throws -> [MetricSet] {
        var sets: [MetricSet] = []
        var section = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("MetricSet: ") {
                sets.append(MetricSet())
            } else if line.hasPrefix("   Scrape time: ") {
                sets[sets.count - 1].scrapeTime = milliseconds(line)
            } else if line.hasPrefix("   Create time: ") {
                sets[sets.count - 1].entityCreateTime = milliseconds(line)
            } else if line.hasPrefix("   "), line.hasSuffix(":"), !line.hasPrefix("    ") {
                section = String(line.dropFirst(3).dropLast())
            } else if line.hasPrefix("      ") {
                try parse(line, section, into: &sets[sets.count - 1])
            }
        }
        return withExactSums(sets.map(exact))
    }

    /// A pod's rates are sums over containers that were read at different intervals.
    private static func withExactSums(_ sets: [MetricSet]) -> [MetricSet] {
        sets.map { set in
            guard set.kind == .pod else { return set }
            var set = set
            let parts = sets.filter {
                $0.kind == .container && $0.label("pod_name") == set.label("pod_name")
                    && $0.label("namespace_name") == set.label("namespace_name")
            }
            for index in set.values.indices {
                guard case .float(let shown) = set.values[index].value else { continue }
                let metric = set.values[index].metric
                let sum = parts.compactMap { part in
                    part.values.first { $0.metric == metric }?.value.double
                }.reduce(0, +)
                if abs(sum - shown) < 1.5e-6 { set.values[index].value = .float(sum) }
            }
            return set
        }
    }

    private static func parse(
        _ line: Substring, _ section: String, into set: inout MetricSet
    ) throws {
        let isChild = line.hasPrefix("         ")
        let content = line.drop { $0 == " " }
        let middle = try #require(content.range(of: " = "))
        let key = String(content[..<middle.lowerBound])
        let value = String(content[middle.upperBound...])
        if isChild {
            set.labeledValues[set.labeledValues.count - 1].labels.append(
                Label(key: key, value: value))
            set.labeledValues[set.labeledValues.count - 1].labels.sort { $0.key < $1.key }
            return
        }
        switch section {
        case "Labels":
            set.labels.append(Label(key: key, value: value))
            if key == "type" { set.kind = try #require(EntityKind(rawValue: value)) }
        case "Metrics":
            set.values.append(MetricSample(metric(key), try number(value)))
        case "Labeled Metrics":
            set.labeledValues.append(
                LabeledSample(metric: metric(key), labels: [], value: try number(value)))
        default: Issue.record("line in section \(section): \(line)")
        }
    }

    private static func metric(_ name: String) -> MetricKey {
        // The recording does not say that the kubelet called this one cumulative.
        if name == "custom/hits" { return .named(name, .counter) }
        return Catalog.metric(named: name).map { .catalogue($0.id) } ?? .named(name, .gauge)
    }

    private static func number(_ text: String) throws -> MetricValue {
        if text.contains(".") { return .float(try #require(Double(text))) }
        return .integer(try #require(Int64(text)))
    }

    private static func milliseconds(_ line: Substring) -> Int64 {
        let nanoseconds = line.split(separator: " ").last.flatMap { Int64($0) } ?? 0
        return nanoseconds < 0 ? 0 : nanoseconds / 1_000_000
    }

    /// The recording shows six decimals; the true value is a rate over 60 s or a share of the
    /// node's allocatable, and can be worked out again.
    private static func exact(_ set: MetricSet) -> MetricSet {
        var set = set
        let plain = Dictionary(
            uniqueKeysWithValues: set.values.map { ($0.metric.name, $0.value.double) })
        for index in set.values.indices {
            guard case .float(let shown) = set.values[index].value else { continue }
            let name = set.values[index].metric.name
            // Most nodes are read 60 s apart, one is a quarter of a second off.
            var candidates = [60, 59.75, 60.25].map { (shown * $0).rounded() / $0 }
            let family = name.prefix { $0 != "/" }
            if let whole = plain["\(family)/node_allocatable"] {
                let part: String =
                    name.hasSuffix("node_reservation")
                    ? "request" : family == "cpu" ? "usage_rate" : "usage"
                if let value = plain["\(family)/\(part)"] { candidates.append(value / whole) }
            }
            let text = String(format: "%.6f", shown)
            if let exact = candidates.first(where: { String(format: "%.6f", $0) == text }),
                shown != shown.rounded()
            {
                set.values[index].value = .float(exact)
            }
        }
        return set
    }

    /// Requests of a batch, as one run of the machinery would make them.
    static func requests(_ batch: RecordedBatch, _ encoder: some SinkEncoder) -> [SinkRequest] {
        var encoder = encoder
        var requests: [SinkRequest] = []
        encoder.encode(batch) { requests.append($0) }
        return requests
    }

    static func lines(_ batch: RecordedBatch, _ encoder: some SinkEncoder) -> [String] {
        requests(batch, encoder).flatMap { request in
            String(decoding: request.body, as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }

    /// What is in one and not in the other, without lines of metrics that depend on the wall clock.
    static func differences(
        _ ours: [String], _ theirs: [String], ignoring isIgnored: (String) -> Bool
    ) -> String {
        let a = Set(ours.filter { !isIgnored($0) })
        let b = Set(theirs.filter { !isIgnored($0) })
        let added = a.subtracting(b).sorted()
        let missing = b.subtracting(a).sorted()
        if added.isEmpty && missing.isEmpty { return "" }
        return "only ours (\(added.count)): \(added.prefix(4))\n"
            + "only theirs (\(missing.count)): \(missing.prefix(4))"
    }
}
