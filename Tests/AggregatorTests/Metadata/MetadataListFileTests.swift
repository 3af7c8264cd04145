import Foundation
import Testing

@testable import Aggregator

@Suite struct PodListFileTests {
    private let path = NSTemporaryDirectory() + "pods-\(UUID().uuidString).json"

    private func write(_ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    private func pod(_ name: String, kind: String = #""kind":"Pod","#) -> String {
        #"{\#(kind)"metadata":{"name":"\#(name)","namespace":"ns","uid":"uid-\#(name)"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}}"#
    }

    private func error(of text: String) throws -> PodListError? {
        defer { unlink(path) }
        try write(text)
        do {
            try PodListFile(path: path).load(into: PodDirectory(), now: 0)
            return nil
        } catch {
            return error
        }
    }

    @Test func aListOfMixedKindsFillsTheDirectory() throws {
        defer { unlink(path) }
        try write(
            """
            {"apiVersion": "v1", "items": [
                \(pod("a")),
                {"kind":"Node","metadata":{"name":"n1","uid":"u1"},"status":{"capacity":{"cpu":"4"}}},
                {"kind":"Namespace","metadata":{"name":"ns","uid":"u2"}},
                {"kind":"ReplicaSet","metadata":{"name":"web-1","namespace":"ns","uid":"u3",
                 "ownerReferences":[{"kind":"Deployment","name":"web","uid":"u4","controller":true}]}},
                {"kind":"Service","metadata":{"name":"s","uid":"u5"},"spec":{"ports":[1]}}
            ], "kind": "List", "metadata": {"resourceVersion": ""}}
            """)
        let directory = PodDirectory()
        try PodListFile(path: path).load(into: directory, now: 0)
        #expect(directory.pod(uid: ObjectUID("uid-a"))?.nodeName == "n1")
        #expect(directory.node("n1").view().node?.capacity.cpuMillicores == 4_000)
        #expect(directory.namespace("ns")?.uid == ObjectUID("u2"))
        #expect(directory.counts == .init(pods: 1, containers: 0, nodes: 1, namespaces: 1))
        let owner = OwnerReference(kind: "ReplicaSet", name: "web-1", uid: ObjectUID("u3"))
        let pod = MetadataMaker.pod(9, namespace: "ns", controller: owner)
        #expect(
            directory.workload(of: pod)
                == Workload(kind: "Deployment", namespace: "ns", name: "web"))
    }

    @Test func typedListsAndSinglePodsAreTaken() throws {
        #expect(try error(of: #"{"kind":"PodList","items":[\#(pod("a", kind: ""))]}"#) == nil)
        #expect(try error(of: #"{"items":[\#(pod("a", kind: ""))],"kind":"PodList"}"#) == nil)
        #expect(try error(of: #"{"kind":"List","items":[]}"#) == nil)
        #expect(try error(of: #"{"kind":"PodList","items":null}"#) == nil)
        #expect(try error(of: pod("a")) == nil)
    }

    @Test func faultsNameTheFileThePlaceAndTheRemedy() throws {
        let make = "make one with: kubectl get pods -A -o json"
        #expect(try error(of: "")?.description == "\(path) is empty; \(make)")
        #expect(
            try error(of: "apiVersion: v1\nitems:")?.description
                == "\(path) is not JSON (is it YAML?); \(make)")
        #expect(
            try error(of: #"{"kind":"List","items":[{"kind":"Pod",]}"#)?.description
                == "cannot use \(path) as a list of pods: ']' at byte 38 where a key should be; \(make)"
        )
        let cut = "{\"kind\":\"List\",\"items\":[" + pod("a") + ","
        #expect(
            try error(of: cut) == .unusable(path: path, .json(.truncated(offset: cut.utf8.count))))
        #expect(
            try error(of: #"{"kind":"List","items":[ {"kind":"Pod","metadata":{"name":"a"}}]}"#)
                == .unusable(path: path, .missing(field: "metadata.uid", kind: "Pod", offset: 25)))
        #expect(
            try error(of: #"{"kind":"List","items":[\#(pod("a", kind: ""))]}"#)
                == .unusable(path: path, .missing(field: "kind", kind: "object", offset: 24)))
        #expect(
            try error(of: #"{"kind":"Config","users":[]}"#) == .noPods(path: path, kind: "Config"))
        #expect(
            try error(of: #"{"kind":"ServiceList","items":[{"kind":"Service","metadata":{}}]}"#)
                == .noPods(path: path, kind: "ServiceList"))
        #expect(throws: PodListError.unreadable(path: "/nowhere/pods.json", errno: ENOENT)) {
            try PodListFile(path: "/nowhere/pods.json").load(into: PodDirectory(), now: 0)
        }
        #expect(throws: PodListError.unreadable(path: "/", errno: EISDIR)) {
            try PodListFile(path: "/").load(into: PodDirectory(), now: 0)
        }
        #expect(
            PodListError.unreadable(path: "/x", errno: ENOENT).description
                == "cannot read the pods from /x: no such file or directory")
    }

    @Test func theFileIsReadAgainWhenItChanges() throws {
        defer { unlink(path) }
        let directory = PodDirectory()
        let file = PodListFile(path: path)
        try write(#"{"kind":"List","items":[\#(pod("a")),\#(pod("b"))]}"#)
        #expect(try file.reloadIfChanged(into: directory, now: 0))
        #expect(try !file.reloadIfChanged(into: directory, now: 0))
        #expect(directory.counts.pods == 2)
        try write(#"{"kind":"List","items":[\#(pod("b")),\#(pod("c")),\#(pod("d"))]}"#)
        #expect(try file.reloadIfChanged(into: directory, now: 10))
        #expect(Set(directory.pods().map(\.name)) == ["b", "c", "d"])
        #expect(directory.pod(uid: ObjectUID("uid-a"))?.name == "a")
        // A broken version is reported once and changes nothing.
        try write(#"{"kind":"List","items":[\#(pod("e"))"#)
        #expect(throws: PodListError.self) { try file.reloadIfChanged(into: directory, now: 20) }
        #expect(try !file.reloadIfChanged(into: directory, now: 30))
        #expect(directory.counts.pods == 3)
    }

    @Test func aListLargerThanTheBufferIsRead() throws {
        defer { unlink(path) }
        let count = 5_000
        let items = (0..<count).map { pod("pod-\($0)") }.joined(separator: ",\n    ")
        try write("{\"kind\":\"List\",\"items\":[\n\(items)\n]}")
        let directory = PodDirectory()
        try PodListFile(path: path).load(into: directory, now: 0)
        #expect(directory.counts.pods == count)
        #expect(directory.pods(namespace: "ns", name: "pod-4999").count == 1)
    }
}
