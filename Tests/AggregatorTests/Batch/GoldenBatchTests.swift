import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// A closed cycle of the recorded cluster, set by set, against what Heapster made of it.
@Suite struct GoldenBatchTests {
    /// One set as Heapster's log sink printed it.
    private struct Printed {
        var labels: [String: String] = [:]
        var values: [String: Double] = [:]
        /// By metric and label set.
        var labeled: [String: Double] = [:]
        var createTime = ""
    }

    private func printed(_ step: Int) throws -> [String: Printed]? {
        guard let folder = GoldenCluster.folder else { return nil }
        let text = try String(
            contentsOf: folder.appendingPathComponent("batches/summary_n\(step).txt"),
            encoding: .utf8)
        var sets: [String: Printed] = [:]
        var key = ""
        var section = ""
        var last = ("", 0.0)
        for line in text.split(separator: "\n") {
            let words = line.trimmingCharacters(in: .whitespaces)
            if words.hasPrefix("MetricSet: ") {
                key = String(words.dropFirst(11))
                sets[key] = Printed()
            } else if words.hasPrefix("Create time: ") {
                sets[key]?.createTime = String(words.dropFirst(13).prefix(19))
            } else if ["Labels:", "Metrics:", "Labeled Metrics:"].contains(words) {
                section = words
            } else if let equals = words.range(of: " = ") {
                let (name, value) = (
                    String(words[..<equals.lowerBound]), String(words[equals.upperBound...])
                )
                switch section {
                case "Labels:": sets[key]?.labels[name] = value
                case "Metrics:": sets[key]?.values[name] = Double(value)
                default:
                    if line.hasPrefix("         ") {
                        sets[key]?.labeled["\(last.0) \(name)=\(value)"] = last.1
                    } else {
                        last = (name, Double(value) ?? .nan)
                    }
                }
            } else if words.hasSuffix(" =") {
                sets[key]?.labels[String(words.dropLast(2))] = ""
            }
        }
        return sets
    }

    private static func key(_ set: borrowing MetricSet) -> String {
        let labels = Dictionary(
            set.labels.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        let namespace = "namespace:\(labels["namespace_name"] ?? "")"
        let pod = "\(namespace)/pod:\(labels["pod_name"] ?? "")"
        let node = "node:\(labels["nodename"] ?? "")"
        let container = "/container:\(labels["container_name"] ?? "")"
        switch set.kind {
        case .cluster: return "cluster"
        case .namespace: return namespace
        case .pod: return pod
        case .container: return pod + container
        case .node: return node
        case .systemContainer: return node + container
        case .workload: return "workload"
        }
    }

    private static let moreSums = Set(AdditiveMetrics.all.map { Catalog.metric($0).name })
        .union(["nvidia.com/gpu/request"])

    @Test(arguments: [0, 1])
    func everySetIsHeapsters(step: Int) throws {
        guard let wanted = try printed(step), let golden = try GoldenCluster(steps: step + 1)
        else { return }
        let batch = try #require(
            ModelBatch.newest(
                index: golden.api.index, custom: golden.api.custom,
                options: golden.api.batchOptions))
        #expect(
            batch.timestamp == GoldenCluster.firstCycle + Int64(step) * GoldenCluster.resolution)
        var found: [String: MetricSet] = [:]
        batch.forEachSet { found[Self.key($0)] = copy $0 }
        let isKnown = { (key: String) in
            !key.contains("ghost") && !key.contains("_unknown")
        }
        #expect(
            Set(found.keys.filter(isKnown)) == Set(wanted.keys.filter(isKnown)))
        for (key, wanted) in wanted where isKnown(key) {
            let found = try #require(found[key], "\(key)")
            check(found, wanted, key, step)
        }
    }

    private func check(_ found: MetricSet, _ wanted: Printed, _ key: String, _ step: Int) {
        var labels = wanted.labels
        if labels["type"] == nil { labels["type"] = found.kind.rawValue }
        #expect(
            Dictionary(uniqueKeysWithValues: found.labels.map { ($0.key, $0.value) }) == labels,
            "\(key)")
        var values = wanted.values
        values["uptime"] = nil
        // Of a first batch there is no rate, and so no utilization; Heapster said 0.
        if step == 0 { values["cpu/node_utilization"] = nil }
        let ours = Dictionary(
            uniqueKeysWithValues: found.values.map { ($0.metric.name, $0.value.double) })
        let names = Set(ours.keys).subtracting(["uptime"])
        if found.kind == .namespace || found.kind == .cluster {
            // All that adds up; Heapster had six.
            #expect(names.subtracting(values.keys).isSubset(of: Self.moreSums), "\(key)")
            #expect(names.isSuperset(of: values.keys), "\(key)")
        } else {
            #expect(names == Set(values.keys), "\(key)")
        }
        for (name, value) in values {
            let difference = abs((ours[name] ?? .nan) - value)
            // The log sink printed six digits; the cluster has a pod more that nobody names.
            #expect(difference <= 0.000_001 * max(1, abs(value)), "\(key) \(name)")
        }
        let labeled = Dictionary(
            found.labeledValues.map { sample in
                let labels = sample.labels.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
                return ("\(sample.metric.name) \(labels)", sample.value.double)
            }, uniquingKeysWith: { first, _ in first })
        if !key.contains("api-0/container:api") { #expect(labeled == wanted.labeled, "\(key)") }
    }
}
