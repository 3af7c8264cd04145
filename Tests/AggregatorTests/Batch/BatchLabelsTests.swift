import Testing
import Wire

@testable import Aggregator

/// The labels of sets, as the command line wants them.
@Suite struct BatchLabelsTests {
    private func options(_ arguments: [String]) throws(UsageError) -> BatchOptions {
        try AggregatorConfiguration(
            Wire.CommandLine(arguments, flags: AggregatorConfiguration.flags)
        ).labels.options
    }

    /// Labels by the key of their set.
    private func labels(_ options: BatchOptions) throws -> [String: [String: String]] {
        let directory = PodDirectory()
        let cluster = Cluster(configuration: ModelConfiguration(), facts: directory)
        let api = AggregatorAPI(
            cluster: cluster, ingest: IngestCounters(),
            metadata: MetadataMetrics(directory: directory, status: nil))
        let agent = SyntheticNode("n1")
        let entered = cluster.enter(agent.hello, now: 0)
        let model = try #require(entered?.0)
        _ = model.begin(agent.hello)
        var node = Node(name: "n1", uid: MetadataMaker.uid(50))
        node.labels = LabelSet(["zone": "a", "arch": "amd64"])
        node.annotations = ["example.com/host": "host-7"]
        node.hostnameAddress = "n1.example"
        directory.apply(.node(node), now: 0)
        directory.apply(
            .namespace(Namespace(name: "default", uid: MetadataMaker.uid(60))), now: 0)
        directory.apply(
            .pod(
                MetadataMaker.pod(
                    1, name: "web", containers: [7],
                    labels: ["app": "web", "tier": "front", "pod_name": "no", "type": "x"])),
            now: 0)
        let uid = MetadataMaker.uid(1).description
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        try agent.add(
            1, Subject(kind: .systemContainer, parent: 0, attributes: [.name: "system.slice"]),
            [.memoryUsage])
        try agent.add(
            2, Subject(kind: .pod, parent: 0, attributes: [.podUID: uid]), [.memoryUsage])
        try agent.add(
            3,
            Subject(
                kind: .container, parent: 2,
                attributes: [
                    .podUID: uid, .containerID: MetadataMaker.containerID(7).description,
                ]), [.memoryUsage])
        try model.receive(agent.frame(step: 1_767_225_600_000))
        var found: [String: [String: String]] = [:]
        try #require(ModelBatch.newest(index: api.index, options: options)).forEachSet {
            (set: borrowing MetricSet) in
            #expect(set.labels.map(\.key) == set.labels.map(\.key).sorted())
            found[SetKey.text(of: set)] = Dictionary(
                uniqueKeysWithValues: set.labels.map { ($0.key, $0.value) })
        }
        return found
    }

    private static let pod = "namespace:default/pod:web"

    @Test func everySetHasHeapstersLabels() throws {
        let found = try labels(BatchOptions())
        let host = ["host_id": "", "hostname": "n1.example", "nodename": "n1"]
        #expect(
            found["node:n1"]
                == host.merging(["labels": "arch:amd64,zone:a", "type": "node"]) { $1 })
        #expect(
            found["node:n1/container:system.slice"]
                == host.merging(["container_name": "system.slice", "type": "sys_container"]) { $1 })
        let pod = host.merging([
            "namespace_id": MetadataMaker.uid(60).description, "namespace_name": "default",
            "pod_id": MetadataMaker.uid(1).description, "pod_name": "web", "type": "pod",
            "labels": "app:web,pod_name:no,tier:front,type:x",
        ]) { $1 }
        #expect(found[Self.pod] == pod)
        #expect(
            found["\(Self.pod)/container:c0"]
                == pod.merging([
                    "container_base_image": "i0", "container_name": "c0", "type": "pod_container",
                ]) { $1 })
        #expect(
            found["namespace:default"] == [
                "namespace_id": MetadataMaker.uid(60).description, "namespace_name": "default",
                "type": "ns",
            ])
        #expect(found["cluster"] == ["type": "cluster"])
    }

    @Test func flagsChooseAndRenameLabels() throws {
        let found = try labels(
            options([
                "--label-separator=;", "--store-label=app", "--store-label=where=zone",
                "--ignore-label=tier", "--ignore-label=arch", "--store-label=tier",
                "--store-label=pod_name",
            ]))
        #expect(found["node:n1"]?["labels"] == "zone:a")
        #expect(found["node:n1"]?["where"] == "a")
        #expect(found[Self.pod]?["labels"] == "app:web;pod_name:no;type:x")
        #expect(found[Self.pod]?["app"] == "web")
        // Left out of `labels`, and still a label of its own.
        #expect(found[Self.pod]?["tier"] == "front")
        #expect(found[Self.pod]?["where"] == nil)
        // Takes no label's place.
        #expect(found[Self.pod]?["pod_name"] == "web" && found[Self.pod]?["type"] == "pod")
        #expect(found["\(Self.pod)/container:c0"]?["app"] == "web")
        #expect(found["namespace:default"]?["app"] == nil)
    }

    @Test func theHostsIDIsTheAnnotationThatTheSourceNames() throws {
        let source = "--source=kubernetes:http://127.0.0.1:1?inClusterConfig=false"
        let named = try options([source + "&host_id_annotation=example.com/host"])
        #expect(try labels(named)["node:n1"]?["host_id"] == "host-7")
        let other = try options([source + "&host_id_annotation=example.com/none"])
        #expect(try labels(other)["node:n1"]?["host_id"] == "")
    }

    @Test func whatCannotBeALabelIsRefused() throws {
        for text in ["--store-label==app", "--store-label=name=", "--store-label="] {
            let error = #expect(throws: UsageError.self) { try options([text]) }
            #expect(error?.problems.first?.contains("write KEY or NEW=KEY") == true, "\(text)")
        }
        let error = #expect(throws: UsageError.self) {
            try options(["--store-label=a=app", "--store-label=b=app"])
        }
        #expect(error?.problems.count == 1)
    }
}
