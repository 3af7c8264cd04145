import Foundation
import TestSupport
import Testing

@testable import Aggregator

/// A reader of Protocol Buffers of its own: fields by number, nothing of the writer's.
private struct Message {
    var varints: [Int: [UInt64]] = [:]
    var bytes: [Int: [[UInt8]]] = [:]

    struct Malformed: Error {}

    init(_ data: [UInt8]) throws {
        var rest = data[...]
        func varint() throws -> UInt64 {
            var value: UInt64 = 0
            for shift in stride(from: 0, to: 70, by: 7) {
                guard let byte = rest.popFirst() else { throw Malformed() }
                value |= UInt64(byte & 0x7F) << UInt64(shift)
                if byte < 0x80 { return value }
            }
            throw Malformed()
        }
        while !rest.isEmpty {
            let tag = try varint()
            let field = Int(tag >> 3)
            switch tag & 7 {
            case 0: varints[field, default: []].append(try varint())
            case 2:
                let count = Int(try varint())
                guard rest.count >= count else { throw Malformed() }
                bytes[field, default: []].append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            default: throw Malformed()
            }
        }
    }

    func text(_ field: Int) -> String? {
        bytes[field]?.first.map { String(decoding: $0, as: UTF8.self) }
    }

    func message(_ field: Int) throws -> Message { try Message(bytes[field]?.first ?? []) }

    func messages(_ field: Int) throws -> [Message] {
        try (bytes[field] ?? []).map { try Message($0) }
    }

    /// A map of quantities.
    func quantities(_ field: Int) throws -> [String: String] {
        var found: [String: String] = [:]
        for entry in try messages(field) {
            found[entry.text(1) ?? ""] = try entry.message(2).text(1)
        }
        return found
    }
}

@Suite struct KubernetesFormsTests {
    private static let accept = "Accept: application/vnd.kubernetes.protobuf,application/json\r\n"

    /// The object within the envelope, and its kind.
    private func object(
        _ golden: GoldenCluster, _ target: String
    ) throws -> (apiVersion: String?, kind: String?, object: Message) {
        let (response, body) = try golden.answer(target, Self.accept)
        #expect(response.contentType?.description == "application/vnd.kubernetes.protobuf")
        #expect(Array(body.prefix(4)) == Array("k8s\0".utf8))
        let unknown = try Message(Array(body.dropFirst(4)))
        let type = try unknown.message(1)
        return (type.text(1), type.text(2), try unknown.message(2))
    }

    private func json(_ golden: GoldenCluster, _ target: String) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(try golden.answer(target).body))
        return object as? [String: Any] ?? [:]
    }

    private func seconds(_ text: Any?) -> UInt64? {
        (text as? String).flatMap { RFC3339Parser.seconds($0) }
    }

    @Test func podMetricsSayTheSameInBothForms() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let target = "/apis/metrics.k8s.io/v1beta1/pods"
        let (version, kind, list) = try object(golden, target)
        #expect(version == "metrics.k8s.io/v1beta1" && kind == "PodMetricsList")
        let expected = try json(golden, target)["items"] as? [[String: Any]] ?? []
        let items = try list.messages(2)
        #expect(items.count == expected.count && items.count > 5)
        for (item, other) in zip(items, expected) {
            let (metadata, names) = (try item.message(1), other["metadata"] as? [String: Any])
            #expect(metadata.text(1) == names?["name"] as? String)
            #expect(metadata.text(3) == names?["namespace"] as? String)
            var labels: [String: String] = [:]
            for entry in try metadata.messages(11) { labels[entry.text(1) ?? ""] = entry.text(2) }
            #expect(labels == names?["labels"] as? [String: String] ?? [:])
            #expect(
                try metadata.message(8).varints[1]?.first == seconds(names?["creationTimestamp"]))
            #expect(try item.message(2).varints[1]?.first == seconds(other["timestamp"]))
            let windows: [String: UInt64] = ["1m0s": 60_000_000_000, "1m0.25s": 60_250_000_000]
            let window = try #require(windows[other["window"] as? String ?? ""])
            #expect(try item.message(3).varints[1] == [window])
            let containers = other["containers"] as? [[String: Any]] ?? []
            let own = try item.messages(4)
            #expect(own.map { $0.text(1) } == containers.map { $0["name"] as? String })
            for (container, one) in zip(own, containers) {
                #expect(try container.quantities(2) == one["usage"] as? [String: String])
            }
        }
    }

    @Test func aNodeAndACustomMetricSayTheSameInBothForms() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let node = "/apis/metrics.k8s.io/v1beta1/nodes/node-a"
        let (_, kind, message) = try object(golden, node)
        #expect(kind == "NodeMetrics")
        #expect(try message.quantities(4) == json(golden, node)["usage"] as? [String: String])
        for (version, place) in [("v1beta1", 2), ("v1beta2", 1)] {
            let target =
                "/apis/custom.metrics.k8s.io/\(version)/namespaces/prod/pods/api-0/network_rx_rate"
            let (_, kind, list) = try object(golden, target)
            #expect(kind == "MetricValueList")
            let item = try #require(try list.messages(2).first)
            let other = (try json(golden, target)["items"] as? [[String: Any]])?.first
            #expect(try item.message(1).text(3) == "api-0")
            #expect(try item.message(1).text(1) == "Pod")
            let name = version == "v1beta1" ? item.text(2) : try item.message(2).text(place)
            #expect(name == "network_rx_rate")
            #expect(item.varints[4] == [60])
            #expect(try item.message(5).text(1) == other?["value"] as? String)
        }
    }

    @Test(arguments: [
        ("", "json"), ("Accept: */*\r\n", "json"),
        ("Accept: application/vnd.kubernetes.protobuf, */*\r\n", "protobuf"),
        ("Accept: application/json, application/vnd.kubernetes.protobuf\r\n", "json"),
        ("Accept: application/json;q=0.5, application/vnd.kubernetes.protobuf\r\n", "protobuf"),
        (
            "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json\r\n",
            "table(\"v1\")"
        ),
        (
            "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1\r\n",
            "metadata(\"v1\")"
        ),
        ("Accept: application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io\r\n", "nil"),
        ("Accept: text/html\r\n", "nil"),
    ])
    func theFirstFormThatThereIsIsAnswered(fields: String, form: String) throws {
        let found = KubernetesFormat(try get("/", fields))
        #expect((found.map { "\($0)" } ?? "nil") == form)
    }

    @Test func metadataAloneHasNoFigures() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let (_, body) = try golden.answer(
            "/apis/metrics.k8s.io/v1beta1/namespaces/prod/pods",
            "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1\r\n")
        let list =
            try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:]
        #expect(list["kind"] as? String == "PartialObjectMetadataList")
        let items = list["items"] as? [[String: Any]] ?? []
        #expect(items.count == 3 && items.allSatisfy { $0["containers"] == nil })
    }

    @Test func everyReferenceOfTheSchemasIsDefined() throws {
        guard let golden = try GoldenCluster(steps: 1) else { return }
        let index = try json(golden, "/openapi/v3")["paths"] as? [String: [String: String]] ?? [:]
        #expect(index.count == 4)
        var documents = [("definitions", try json(golden, "/openapi/v2"))]
        for entry in index.values {
            let document = try json(golden, try #require(entry["serverRelativeURL"]))
            documents.append(("schemas", document["components"] as? [String: Any] ?? [:]))
        }
        for (key, document) in documents {
            let defined = Set((document[key] as? [String: Any] ?? [:]).keys)
            let text = String(
                decoding: try JSONSerialization.data(withJSONObject: document), as: UTF8.self)
            let references = text.matches(of: /\\\/(definitions|schemas)\\\/([A-Za-z0-9._]+)/)
            #expect(!references.isEmpty)
            for reference in references {
                #expect(defined.contains(String(reference.output.2)), "\(reference.output.2)")
            }
        }
    }

    @Test func aggregatedDiscoveryHasTheMetricsBelowTheirObjects() throws {
        guard let golden = try GoldenCluster(steps: 1) else { return }
        for version in ["v2", "v2beta1"] {
            let (response, body) = try golden.answer(
                "/apis",
                "Accept: application/json;g=apidiscovery.k8s.io;v=\(version);as=APIGroupDiscoveryList,application/json\r\n"
            )
            #expect(response.contentType?.description.contains("v=\(version);") == true)
            let list =
                try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:]
            let groups = list["items"] as? [[String: Any]] ?? []
            #expect(groups.count == 3)
            let custom = (groups[1]["versions"] as? [[String: Any]])?.first
            let resources = custom?["resources"] as? [[String: Any]] ?? []
            #expect(
                resources.map { $0["resource"] as? String } == ["namespaces", "nodes", "pods"])
            let pods = resources[2]["subresources"] as? [[String: Any]] ?? []
            #expect(pods.contains { $0["subresource"] as? String == "network_rx_rate" })
        }
    }
}

/// Seconds since the epoch, by Foundation.
private enum RFC3339Parser {
    static func seconds(_ text: String) -> UInt64? {
        ISO8601DateFormatter().date(from: text).map { UInt64($0.timeIntervalSince1970) }
    }
}
