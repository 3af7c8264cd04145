import Foundation
import TestSupport
import Testing

@testable import Aggregator

@Suite struct MetadataDecodingTests {
    private func pod(_ json: String) throws(ObjectError) -> Pod {
        var decoder = ObjectDecoder()
        let bytes = Array(json.utf8)
        return try bytes.span.bytes.withUnsafeBytes { bytes throws(ObjectError) in
            try decoder.pod(bytes)
        }
    }

    @Test func aPodIsReadWhole() throws {
        let pod = try pod(MetadataMaker.fullPodJSON)
        #expect(pod.namespace == "shop" && pod.name == "web-7d4b9c-x2x")
        #expect(pod.uid == ObjectUID("6d7e6a8e-1111-4222-8333-444455556666"))
        #expect(pod.nodeName == "node-1" && pod.isHostNetwork && pod.isTerminating)
        #expect(pod.labels.joined(separator: ",") == "app:web,tier:front")
        #expect(pod.configHash == ObjectUID("0123456789abcdef0123456789abcdef"))
        #expect(pod.controller?.kind == "ReplicaSet" && pod.controller?.name == "web-7d4b9c")
        #expect(pod.phase == .running && pod.qosClass == .burstable)
        #expect(pod.startTimeMilliseconds == 1_767_225_605_000)
        #expect(pod.containers.map(\.name) == ["app", "log", "setup", "proxy", "debug"])
        #expect(pod.containers.map(\.role) == [.regular, .regular, .initial, .sidecar, .ephemeral])
        #expect(pod.containers.map(\.restartCount) == [3, 7, 0, 1, 0])
        #expect(pod.containers.map(\.isReady) == [true, false, true, true, false])
        #expect(pod.containers.map(\.isRunning) == [true, false, false, true, false])
        #expect(
            pod.containers.map(\.startedMilliseconds)
                == [1_767_225_608_500, 0, 1_767_225_606_000, 1_767_225_607_000, 0])
        #expect(
            pod.containers.map { String($0.id.description.prefix(3)) }
                == ["333", "", "111", "222", "odd"])
        let app = pod.containers[0]
        #expect(app.image == "shop/web:1.2")
        #expect(app.resources.requests.cpuMillicores == 250)
        #expect(app.resources.requests.memoryBytes == 536_870_912)
        #expect(app.resources.requests.ephemeralStorageBytes == 1_500_000_000)
        #expect(app.resources.requests.others == [.init(name: "nvidia.com/gpu", value: 2)])
        #expect(app.resources.limits.cpuMillicores == 1_000)
        #expect(app.resources.limits.ephemeralStorageBytes == nil)
        #expect(pod.containers[1].resources == .none)
    }

    /// The members of each object in another order make the same pod.
    @Test func theOrderOfFieldsDoesNotMatter() throws {
        let expected = try pod(MetadataMaker.fullPodJSON)
        let object = try JSONSerialization.jsonObject(with: Data(MetadataMaker.fullPodJSON.utf8))
        for seed in UInt64(0)..<200 {
            var random = SeededRandom(seed: seed)
            #expect(try pod(Self.text(object, &random)) == expected, "seed \(seed)")
        }
    }

    private static func text(_ value: Any, _ random: inout SeededRandom) -> String {
        switch value {
        case let members as [String: Any]:
            var parts: [String] = []
            for (key, value) in members.sorted(by: { $0.key < $1.key }).shuffled(using: &random) {
                parts.append("\(text(key, &random)) : \(text(value, &random))")
            }
            return "{" + parts.joined(separator: ",\n") + "}"
        case let elements as [Any]:
            return "[" + elements.map { text($0, &random) }.joined(separator: ", ") + "]"
        case let string as String:
            var writer = JSONWriter()
            writer.string(string)
            return writer.text
        case let number as NSNumber:
            return String(cString: number.objCType) == "c"
                ? (number.boolValue ? "true" : "false") : number.stringValue
        default: return "null"
        }
    }

    @Test func truncationAtEveryByteThrows() {
        let bytes = Array(MetadataMaker.fullPodJSON.utf8)
        var decoder = ObjectDecoder()
        for count in 0..<bytes.count {
            #expect(throws: ObjectError.json(.truncated(offset: count))) {
                try Array(bytes[..<count]).withUnsafeBytes { _ = try decoder.pod($0) }
            }
        }
    }

    /// Whatever one bit changes: no trap, and no pod of bytes that are not JSON.
    @Test func everySingleBitFlipIsRefusedOrStillJSON() throws {
        let bytes = Array(MetadataMaker.fullPodJSON.utf8)
        let original = try pod(MetadataMaker.fullPodJSON)
        var (refused, different) = (0, 0)
        var decoder = ObjectDecoder()
        for position in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[position / 8] ^= 1 << UInt8(position % 8)
            do {
                let pod = try flipped.withUnsafeBytes { try decoder.pod($0) }
                #expect(throws: Never.self, "bit \(position)") { try JSONTree(scanning: flipped) }
                if pod != original { different += 1 }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 2_000 && different > 2_000)
    }

    @Test func randomMutationsNeverTrap() {
        let bytes = Array(MetadataMaker.fullPodJSON.utf8)
        var decoder = ObjectDecoder()
        for seed in UInt64(0)..<4_000 {
            var random = SeededRandom(seed: seed)
            var mutated = bytes
            for _ in 0...random.below(4) {
                let from = random.below(mutated.count)
                let length = random.below(60)
                switch random.below(3) {
                case 0: mutated.removeSubrange(from..<min(from + length, mutated.count))
                case 1:
                    let source = random.below(bytes.count)
                    mutated.insert(contentsOf: bytes[source...].prefix(length), at: from)
                default: mutated[from] = UInt8(truncatingIfNeeded: random.next())
                }
                if mutated.isEmpty { mutated = [0x7B] }
            }
            let accepted = (try? mutated.withUnsafeBytes { try decoder.pod($0) }) != nil
            if accepted {
                #expect(throws: Never.self, "seed \(seed)") { try JSONTree(scanning: mutated) }
            }
        }
    }

    @Test func objectsWithoutIdentityOrWithWrongAmountsAreRefused() {
        #expect(throws: ObjectError.missing(field: "metadata.uid", kind: "Pod", offset: 0)) {
            try pod(#"{"metadata":{"name":"a"}}"#)
        }
        #expect(throws: ObjectError.missing(field: "metadata.name", kind: "Pod", offset: 0)) {
            try pod("{}")
        }
        let error = #expect(throws: ObjectError.self) {
            try pod(
                #"{"metadata":{"name":"a","uid":"u","namespace":"n"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"lots"}}}]}}"#
            )
        }
        #expect(error?.description == #"Pod n/a: resources.requests.cpu is "lots""#)
        #expect(throws: ObjectError.self) {
            try pod(#"{"metadata":{"name":"a","uid":"u"},"status":{"startTime":"yesterday"}}"#)
        }
    }

    @Test func handWrittenNumbersAreQuantities() throws {
        let pod = try pod(
            #"{"metadata":{"name":"a","uid":"u"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":1.5}}}]}}"#
        )
        #expect(pod.containers[0].resources.requests.cpuMillicores == 1_500)
    }

    @Test func recordedPodsAndNodesAreReadAsFoundationReadsThem() throws {
        let input = MetadataMaker.golden.appendingPathComponent("input")
        guard let data = try? Data(contentsOf: input.appendingPathComponent("api_pods.json")) else {
            print("skipped: no recorded input at \(input.path)")
            return
        }
        var list = ObjectListReader()
        try Array(data).withUnsafeBytes { try list.read($0) }
        let envelope = try list.finish()
        #expect(envelope == .init(kind: "PodList", resourceVersion: "1000", continueToken: ""))
        let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let items = try #require(root["items"] as? [[String: Any]])
        #expect(list.objects.pods.count == items.count && items.count == 14)
        for (pod, item) in zip(list.objects.pods, items) {
            let metadata = try #require(item["metadata"] as? [String: Any])
            let spec = try #require(item["spec"] as? [String: Any])
            #expect(pod.name == metadata["name"] as? String)
            #expect(pod.uid.description == metadata["uid"] as? String)
            #expect(pod.nodeName == spec["nodeName"] as? String)
            let labels = metadata["labels"] as? [String: String] ?? [:]
            #expect(pod.labels == LabelSet(labels))
            let containers = try #require(spec["containers"] as? [[String: Any]])
            #expect(pod.containers.map(\.name) == containers.map { $0["name"] as? String })
            #expect(pod.containers.map(\.image) == containers.map { $0["image"] as? String })
        }
        var nodes = ObjectListReader(itemKind: "Node")
        let nodeData = try Data(contentsOf: input.appendingPathComponent("api_nodes.json"))
        try Array(nodeData).withUnsafeBytes { try nodes.read($0) }
        _ = try nodes.finish()
        #expect(nodes.objects.nodes.map(\.name) == ["node-a", "node-b", "node-c", "node-d"])
        let first = nodes.objects.nodes[0]
        #expect(first.capacity.cpuMillicores == 4_000 && first.allocatable.cpuMillicores == 3_800)
        #expect(first.capacity.memoryBytes == 8_589_934_592)
        #expect(first.capacity.others == [.init(name: "pods", value: 110)])
        #expect(first.hostname == "node-a.example.local" && first.internalIP == "127.0.0.11")
        #expect(first.hostID(annotation: nil) == "ext-a" && first.readiness == .ready)
        let second = nodes.objects.nodes[1]
        #expect(second.isUnschedulable && second.externalIP == "127.0.0.12")
        #expect(second.hostname == "node-b" && second.hostID(annotation: nil).isEmpty)
        #expect(second.hostID(annotation: "example.com/hostid") == "ann-host-b")
        #expect(nodes.objects.nodes[3].readiness == .notReady)
    }
}
