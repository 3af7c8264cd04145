import Foundation
import TestSupport
import Testing

extension KubernetesTests {
    /// Pods that the real controllers made, under the names that people gave.
    @Suite(.serialized) struct Workloads {
        private static let noCgroups = TestCgroup.unavailable
        private static let node = "node-work"
        private let cluster: KubernetesCluster
        private let folder: TemporaryFolder

        init() throws {
            cluster = try KubernetesCluster.current
            folder = try TemporaryFolder()
        }

        /// Every kind of the API that makes pods, once; two pods where a number can be given.
        private func makeControllers() throws {
            func template(_ labels: String, _ more: String = "") -> String {
                #"{"metadata":{"labels":{\#(labels)}},"spec":{"containers":[{"name":"main","image":"i","resources":{"requests":{"cpu":"100m"}}}]\#(more)}}"#
            }
            func selected(_ name: String, _ more: String = "", _ pod: String = "") -> String {
                #"{"metadata":{"name":"\#(name)"},"spec":{\#(more)"selector":{"matchLabels":{"app":"\#(name)"}},"template":\#(template(#""app":"\#(name)""#, pod))}}"#
            }
            let job = template("", #","restartPolicy":"Never""#)
            let apps = "/apis/apps/v1/namespaces/work"
            try cluster.make("\(apps)/deployments", selected("web", #""replicas":2,"#))
            try cluster.make(
                "\(apps)/statefulsets",
                selected("store", #""replicas":1,"serviceName":"store","#))
            try cluster.make(
                "\(apps)/daemonsets",
                selected(
                    "every", "",
                    #","nodeSelector":{"heapwire-test":"work"},"tolerations":[{"operator":"Exists"}]"#
                ))
            try cluster.make(
                "/apis/batch/v1/namespaces/work/jobs",
                #"{"metadata":{"name":"once"},"spec":{"parallelism":2,"completions":2,"template":\#(job)}}"#
            )
            try cluster.make(
                "/apis/batch/v1beta1/namespaces/work/cronjobs",
                #"{"metadata":{"name":"nightly"},"spec":{"schedule":"* * * * *","concurrencyPolicy":"Forbid","jobTemplate":{"spec":{"template":\#(job)}}}}"#
            )
        }

        /// Pods by what they were made for: `web-…` of the deployment, and so on.
        private static let sizes = [
            "CronJob/nightly": 1, "DaemonSet/every": 1, "Deployment/web": 2, "Job/once": 2,
            "StatefulSet/store": 1,
        ]

        private struct Series: Decodable {
            struct Point: Decodable {
                let timestamp: String
                let value: Int64
            }
            let metrics: [Point]

            var values: [String: Int64] {
                Dictionary(metrics.map { ($0.timestamp, $0.value) }) { $1 }
            }
        }

        private func series(_ url: String) throws -> [String: Int64] {
            try JSONDecoder().decode(Series.self, from: Data(try httpGet(url).utf8)).values
        }

        /// A cron job's first job comes at the next full minute.
        @Test(.enabled(if: noCgroups == nil, "no cgroups of our own here"), .timeLimit(.minutes(6)))
        func everyKindHasTheSumsOfItsPods() throws {
            try cluster.makeNamespace("work")
            try cluster.make(
                "/api/v1/nodes",
                #"{"metadata":{"name":"\#(Self.node)","labels":{"heapwire-test":"work"}}}"#)
            try makeControllers()
            let cronJobs = try cluster.startCronJobController(in: folder)
            let count = Self.sizes.values.reduce(0, +)
            var pods: [KubernetesCluster.ObjectList.Item] = []
            try eventually(seconds: 150, "\(count) pods are made") {
                pods = try cluster.objects("/api/v1/namespaces/work/pods")
                return pods.count >= count
            }
            // Another minute would bring another pod.
            cronJobs.stop()
            var cgroups: [TestCgroup] = []
            for pod in pods.map(\.metadata) {
                try cluster.bind(pod.name, to: Self.node, in: "work")
                let id = KubernetesCluster.containerID()
                let container = try TestCgroup("kubepods/burstable/pod\(pod.uid)/\(id)")
                try container.run("sleep", ["600"])
                try cluster.setStatus(pod.name, ["main": id], in: "work")
                cgroups.append(container)
            }
            let aggregator = try ClusterAggregator(
                source: try cluster.source(in: folder), in: folder.url)
            let agent = try RunningProgram(
                "heapwire-agent",
                ["--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=\(Self.node)"],
                in: folder.url)
            let model = "\(aggregator.api)/api/v1/model/namespaces/work"
            try eventually(seconds: 60, "every workload has its figures") {
                let found = try names("\(model)/workloads")
                guard found.sorted() == Self.sizes.keys.sorted() else { return false }
                return try found.allSatisfy {
                    try !series("\(model)/workloads/\($0.lowercased())/metrics/memory/usage")
                        .isEmpty
                }
            }
            try expectSums(model, pods.map(\.metadata.name))
            #expect(agent.stop() == 0, "\(agent.output)")
            #expect(aggregator.program.stop() == 0, "\(aggregator.program.output)")
            withExtendedLifetime(cgroups) {}
        }

        /// The sums of workloads and of the namespace against their pods' own series.
        private func expectSums(_ model: String, _ pods: [String]) throws {
            for metric in ["memory/usage", "memory/working_set", "process/count", "cpu/request"] {
                // Later ones first: a step more may come between the questions.
                let namespace = try series("\(model)/metrics/\(metric)")
                var sums: [String: [String: Int64]] = [:]
                for workload in Self.sizes.keys {
                    sums[workload] = try series(
                        "\(model)/workloads/\(workload.lowercased())/metrics/\(metric)")
                }
                var members: [String: [[String: Int64]]] = [:]
                for pod in pods {
                    let workload = try #require(
                        Self.sizes.keys.first { pod.hasPrefix($0.split(separator: "/")[1] + "-") })
                    members[workload, default: []].append(
                        try series("\(model)/pods/\(pod)/metrics/\(metric)"))
                }
                for (workload, size) in Self.sizes {
                    let own = try #require(members[workload])
                    #expect(own.count == size, "\(workload)")
                    let sum = try #require(sums[workload])
                    #expect(!sum.isEmpty, "\(workload) \(metric)")
                    for (time, value) in sum {
                        let expected = own.compactMap { $0[time] }
                        #expect(expected.reduce(0, +) == value, "\(workload) \(metric) \(time)")
                    }
                }
                let all = members.values.joined()
                #expect(!namespace.isEmpty, "\(metric)")
                for (time, value) in namespace {
                    #expect(all.compactMap { $0[time] }.reduce(0, +) == value, "\(metric) \(time)")
                }
            }
        }
    }
}
