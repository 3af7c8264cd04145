import Foundation
import TestSupport
import Testing

extension KubernetesTests {
    /// A cluster that lives: pods of real controllers come and go, the apiserver goes and comes back.
    @Suite(.serialized) struct Life {
        private static let noCgroups = TestCgroup.unavailable
        private let cluster: KubernetesCluster
        private let folder: TemporaryFolder

        init() throws {
            cluster = try KubernetesCluster.current
            folder = try TemporaryFolder()
        }

        /// A pod that a deployment's controllers made, bound to a node; its name and UID.
        private func makeDeployedPod(
            node: String, in namespace: String = "life"
        ) throws -> (name: String, uid: String) {
            try cluster.makeNamespace(namespace)
            try cluster.make(
                "/apis/apps/v1/namespaces/\(namespace)/deployments",
                #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"main","image":"i","resources":{"requests":{"cpu":"100m"}}},{"name":"side","image":"i"}]}}}}"#
            )
            var pods: [KubernetesCluster.ObjectList.Item] = []
            try eventually(seconds: 60, "the deployment has a pod") {
                pods = try cluster.objects("/api/v1/namespaces/\(namespace)/pods")
                return pods.count == 1
            }
            let pod = pods[0].metadata
            try cluster.bind(pod.name, to: node, in: namespace)
            return (pod.name, pod.uid)
        }

        @Test(.enabled(if: noCgroups == nil, "no cgroups of our own here"))
        func withoutTheApiserverNamesStayAndItsReturnIsNoStorm() throws {
            let pod = try makeDeployedPod(node: "node-life")
            let (first, second) = (KubernetesCluster.containerID(), KubernetesCluster.containerID())
            let sandbox = try TestCgroup("kubepods/burstable/pod\(pod.uid)")
            let main = try TestCgroup("\(sandbox.path)/\(first)")
            try main.run("sleep", ["600"])
            try cluster.setStatus(pod.name, ["main": first], in: "life")
            let aggregator = try ClusterAggregator(
                source: try cluster.source(in: folder), in: folder.url)
            let agent = try RunningProgram(
                "heapwire-agent",
                ["--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=node-life"],
                in: folder.url)
            let model = "\(aggregator.api)/api/v1/model/namespaces/life"
            try eventually(seconds: 60, "the deployment's pod is in the model") {
                try names("\(model)/workloads") == ["Deployment/web"]
                    && (try names("\(model)/workloads/deployment/web/metrics"))
                        .contains("memory/usage")
            }
            // The second is only specified.
            #expect(try names("\(model)/pods/\(pod.name)/containers") == ["main", "side"])
            let resources = ["pods", "nodes", "namespaces", "replicasets", "jobs"]
            func own(_ metric: String, _ resource: String) throws -> Double {
                try aggregator.own("heapwire_apiserver_\(metric){resource=\"\(resource)\"}") ?? -1
            }
            let lists = try resources.map { try own("lists_total", $0) }
            #expect(lists == [1, 1, 1, 1, 1])
            let podCount = try aggregator.own("heapwire_metadata_pods")

            try cluster.stopAPIServer()
            var failures: [Double] = []
            let began = Date()
            try eventually(seconds: 120, "every watch fails for the fourth time") {
                failures = try resources.map { try own("failures_total", $0) }
                return failures.allSatisfy { $0 >= 4 }
            }
            // Pauses of at least a quarter, half and one second between the four.
            #expect(Date().timeIntervalSince(began) >= 1.75)
            let patience = Date().timeIntervalSince(began)
            // 0.25 + 0.5 + … is the fastest that they may come.
            for count in failures {
                #expect(count <= 3 + log2(max(1, patience) / 0.25), "\(failures) in \(patience) s")
            }
            for resource in resources { #expect(try own("up", resource) == 0) }
            let health = try httpGet("\(aggregator.api)/healthz")
            #expect(health.hasPrefix("ok\n"))
            for resource in resources {
                #expect(health.contains("\(resource) not updated since 20"), "\(health)")
            }
            #expect(try aggregator.own("heapwire_metadata_pods") == podCount)
            #expect(try names("\(model)/workloads") == ["Deployment/web"])
            // What starts now goes by its ID.
            let side = try TestCgroup("\(sandbox.path)/\(second)")
            try side.run("sleep", ["600"])
            let nameless = [second, "main", "side"].sorted()
            try eventually(seconds: 60, "the new container goes by its ID") {
                try names("\(model)/pods/\(pod.name)/containers") == nameless
            }

            try cluster.startAPIServer()
            try cluster.setStatus(pod.name, ["main": first, "side": second], in: "life")
            try eventually(seconds: 120, "the new container has its name") {
                try names("\(model)/pods/\(pod.name)/containers") == ["main", "side"]
            }
            try eventually(seconds: 120, "all is well again") {
                try httpGet("\(aggregator.api)/healthz") == "ok"
            }
            // A list more at most: where the apiserver had forgotten the version.
            for (resource, before) in zip(resources, lists) {
                let now = try own("lists_total", resource)
                #expect(now - before <= 1, "\(resource): \(now) lists")
                #expect(try own("up", resource) == 1)
            }
            #expect(aggregator.program.output.contains("the apiserver answers again after"))
            #expect(agent.stop() == 0 && aggregator.program.stop() == 0)
        }

        @Test(.enabled(if: noCgroups == nil, "no cgroups of our own here"))
        func aRestartWhileTheApiserverIsAwayKeepsTheNames() throws {
            let pod = try makeDeployedPod(node: "node-restart", in: "restart")
            let container = KubernetesCluster.containerID()
            let sandbox = try TestCgroup("kubepods/burstable/pod\(pod.uid)")
            let main = try TestCgroup("\(sandbox.path)/\(container)")
            try main.run("sleep", ["600"])
            try cluster.setStatus(pod.name, ["main": container], in: "restart")
            let source = try cluster.source(in: folder)
            let flags = ["--data-dir=\(folder.url.appendingPathComponent("data").path)"]
            let first = try ClusterAggregator(source: source, flags, in: folder.url)
            let agent = try RunningProgram(
                "heapwire-agent",
                ["--aggregator=127.0.0.1:\(first.ingest)", "--node-name=node-restart"],
                in: folder.url)
            let model = "\(first.api)/api/v1/model/namespaces/restart"
            let series = "\(model)/workloads/deployment/web/metrics/memory/usage"
            func points() throws -> [String] {
                try httpGet(series).matches(of: /"timestamp": "([^"]+)"/).map {
                    String($0.output.1)
                }
            }
            var seen: [String] = []
            try eventually(seconds: 60, "the deployment has a history") {
                seen = try points()
                return seen.count >= 5
            }
            let podCount = try first.own("heapwire_metadata_pods")
            try cluster.stopAPIServer()
            first.program.stop(SIGKILL)

            let second = try ClusterAggregator(
                source: source, flags, in: folder.url, ports: (first.port, first.ingest))
            // Nobody but the log can have told these names.
            #expect(try second.own("heapwire_metadata_pods") == podCount)
            #expect(
                try second.own("heapwire_apiserver_lists_total{resource=\"pods\"}") ?? 0 == 0)
            try eventually(seconds: 60, "frames come again") {
                try names("\(model)/workloads") == ["Deployment/web"]
                    && (try points().last ?? "") > (seen.last ?? "")
            }
            #expect(try names("\(model)/pods/\(pod.name)/containers") == ["main", "side"])
            // What was seen before the crash is there, under its name.
            #expect(Set(try points()).isSuperset(of: seen.dropLast(2)))
            #expect(try httpGet("\(second.api)/healthz").hasPrefix("ok\n"))
            try cluster.startAPIServer()
            try eventually(seconds: 120, "all is well again") {
                try httpGet("\(second.api)/healthz") == "ok"
            }
            #expect(try second.own("heapwire_metadata_pods") == podCount)
            #expect(agent.stop() == 0 && second.program.stop() == 0)
        }

        /// 5,000 in `make test-kubernetes`.
        private static let crowd =
            Int(ProcessInfo.processInfo.environment["HEAPWIRE_CROWD"] ?? "") ?? 300

        @Test func aCrowdOfPodsComesAndGoes() throws {
            try cluster.makeNamespace("crowd")
            let aggregator = try ClusterAggregator(
                source: try cluster.source(in: folder), in: folder.url)
            func pods() throws -> Double { try aggregator.own("heapwire_metadata_pods") ?? -1 }
            func events() throws -> Double {
                try aggregator.own("heapwire_apiserver_events_total{resource=\"pods\"}") ?? 0
            }
            try eventually("the list is there") {
                try aggregator.own("heapwire_apiserver_lists_total{resource=\"pods\"}") == 1
            }
            let (before, eventsBefore) = (try pods(), try events())
            let body = try folder.write(
                #"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"one-","labels":{"app":"crowd"}},"spec":{"nodeName":"node-crowd","containers":[{"name":"main","image":"i"}]}}"#,
                to: "crowd.json")
            // One program, many requests over a few connections.
            let made = try runProcess(
                "curl",
                [
                    "-sS", "-Z", "--parallel-max", "8", "--cacert",
                    cluster.path("pki/ca.crt"),
                    "-H", "Authorization: Bearer admintoken", "-H",
                    "Content-Type: application/json", "--data-binary", "@\(body.path)", "-o",
                    "/dev/null",
                    "\(cluster.url)/api/v1/namespaces/crowd/pods?fieldManager=c[1-\(Self.crowd)]",
                ])
            #expect(made.status == 0, "\(made.output.suffix(400))")
            // Names are drawn by chance, five letters each: a few may have been drawn twice.
            let there = try cluster.objects("/api/v1/namespaces/crowd/pods").count
            #expect(there > Self.crowd - 20 && there <= Self.crowd)
            try eventually(seconds: 120, "they are known") {
                try pods() == before + Double(there)
            }
            let answer = try cluster.request(
                "DELETE", "/api/v1/namespaces/crowd/pods?gracePeriodSeconds=0")
            #expect(answer.status == 200)
            try eventually(seconds: 120, "they are gone") { try pods() == before }
            #expect(try aggregator.own("heapwire_metadata_departed_pods") ?? 0 >= Double(there))
            // By events alone, and each seen.
            #expect(try events() - eventsBefore >= Double(2 * there))
            #expect(try aggregator.own("heapwire_apiserver_lists_total{resource=\"pods\"}") == 1)
            #expect(aggregator.program.stop() == 0)
        }
    }
}
