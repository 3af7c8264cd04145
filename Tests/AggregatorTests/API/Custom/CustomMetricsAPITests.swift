import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct CustomMetricsAPITests {
    private let base = "/apis/custom.metrics.k8s.io/v1beta2"

    private func json(
        _ golden: GoldenCluster, _ target: String
    ) throws -> (status: Int, object: [String: Any]) {
        let (response, body) = try golden.answer(target)
        let object = try JSONSerialization.jsonObject(with: Data(body))
        return (response.status.code, object as? [String: Any] ?? [:])
    }

    /// Objects' names with their values.
    private func values(_ golden: GoldenCluster, _ target: String) throws -> [String: String] {
        let (status, object) = try json(golden, target)
        #expect(status == 200, "\(target)")
        var found: [String: String] = [:]
        for item in object["items"] as? [[String: Any]] ?? [] {
            let described = item["describedObject"] as? [String: Any]
            found[described?["name"] as? String ?? ""] = item["value"] as? String
        }
        return found
    }

    private func push(
        _ golden: GoldenCluster, _ text: String, path: String = "", fields: String = ""
    ) throws -> (status: Int, text: String) {
        let (response, body) = try golden.answer(
            "/api/v1/push/prometheus" + path, fields, method: "POST", sending: text)
        return (response.status.code, String(decoding: body, as: UTF8.self))
    }

    // MARK: The model's metrics

    @Test func valuesOfTheModelAreItsOwnLatest() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        for (namespace, pod) in [("default", "web-0"), ("prod", "api-0"), ("staging", "worker-0")] {
            for metric in [
                "network/rx_rate", "cpu/usage_rate", "memory/working_set", "cpu/request",
            ] {
                let model = try json(
                    golden, "/api/v1/model/namespaces/\(namespace)/pods/\(pod)/metrics/\(metric)"
                ).object
                let last = (model["metrics"] as? [[String: Any]])?.last
                let number = last?["floatValue"] as? Double ?? last?["value"] as? Double
                let expected = try #require(number)
                for spelling in [metric, metric.replacingOccurrences(of: "/", with: "_")] {
                    let text = try values(
                        golden, "\(base)/namespaces/\(namespace)/pods/\(pod)/\(spelling)")[pod]
                    let value = try #require(text.flatMap { Quantity($0) })
                    #expect(
                        abs(Double(value.nanos) / 1e9 - expected) <= 1e-9 * max(1, expected),
                        "\(pod) \(spelling): \(value) \(expected)")
                }
            }
        }
    }

    @Test func starSelectsByLabels() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let all = try values(golden, "\(base)/namespaces/prod/pods/*/memory_working_set")
        #expect(Set(all.keys) == ["api-0", "api-1", "db-0"])
        let some = try values(
            golden, "\(base)/namespaces/prod/pods/*/memory_working_set?labelSelector=app%3Ddb")
        #expect(some == all.filter { $0.key == "db-0" })
        let nodes = try values(golden, "\(base)/nodes/*/cpu_usage_rate")
        #expect(Set(nodes.keys) == ["node-a", "node-b", "node-c"])
        let none = try json(golden, "\(base)/namespaces/prod/pods/*/no_such_metric")
        #expect(none.status == 200 && (none.object["items"] as? [Any])?.isEmpty == true)
        #expect(
            try json(golden, "\(base)/namespaces/prod/pods/*/x?labelSelector=a%20b").status == 400)
    }

    @Test func anObjectWithoutTheMetricIsNotFound() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        for (path, message) in [
            ("namespaces/prod/pods/nope/cpu_usage_rate", "cpu_usage_rate for pods nope"),
            ("namespaces/prod/pods/api-0/nope", "nope for pods api-0"),
            ("namespaces/prod/services/api/hits", "hits for services api"),
            ("nodes/nope/cpu_usage_rate", "cpu_usage_rate for nodes nope"),
            ("namespaces/nope/metrics/cpu_usage_rate", "cpu_usage_rate for namespaces nope"),
        ] {
            let (status, object) = try json(golden, "\(base)/\(path)")
            #expect(status == 404 && object["reason"] as? String == "NotFound")
            #expect(
                object["message"] as? String == "the server could not find the metric \(message)")
        }
    }

    @Test func aNamespaceHasItsSums() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let (status, list) = try json(golden, "\(base)/namespaces/prod/metrics/memory_usage")
        let item = try #require((list["items"] as? [[String: Any]])?.first)
        #expect(status == 200)
        #expect((item["describedObject"] as? [String: String])?["kind"] == "Namespace")
        let model = try json(golden, "/api/v1/model/namespaces/prod/metrics/memory/usage").object
        let last = (model["metrics"] as? [[String: Any]])?.last?["value"] as? Int64
        #expect(
            (item["value"] as? String).flatMap { Quantity($0) }?.value == last && last != nil)
        #expect(item["timestamp"] as? String == "2026-01-01T00:03:00Z")
    }

    // MARK: Pushed metrics

    @Test func pushedMetricsAreInTheModelAndServed() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let text = """
            # TYPE queue_length gauge
            queue_length{namespace="prod",pod="api-0",queue="in"} 3
            queue_length{namespace="prod",pod="api-0",queue="out"} 4.5
            depth{namespace="prod",pod="api-0",container="api"} 0.1
            depth{namespace="prod",pod="api-0",container="proxy"} 0.2
            orders{namespace="prod"} 12
            backlog{topic="a"} 1500
            backlog{topic="b"} 2500000

            """
        let answer = try push(golden, text)
        #expect(answer.status == 200 && answer.text == "{\"samples\":7}\n")
        let pod = "\(base)/namespaces/prod/pods/api-0"
        #expect(try values(golden, "\(pod)/queue_length") == ["api-0": "7500m"])
        #expect(
            try values(golden, "\(pod)/queue_length?metricLabelSelector=queue%3Din")
                == ["api-0": "3"])
        #expect(try values(golden, "\(pod)/custom%2Fqueue_length") == ["api-0": "7500m"])
        #expect(
            try values(golden, "\(base)/namespaces/prod/pods/*/custom_depth") == ["api-0": "300m"])
        #expect(try values(golden, "\(base)/namespaces/prod/metrics/orders") == ["prod": "12"])
        let model = "/api/v1/model/namespaces/prod/pods/api-0"
        let series = try json(golden, "\(model)/metrics/custom/depth").object
        let value = (series["metrics"] as? [[String: Any]])?.last?["floatValue"] as? Double
        #expect(abs((value ?? 0) - 0.3) < 1e-12)
        let names = try golden.answer("\(model)/metrics").body
        #expect(String(decoding: names, as: UTF8.self).contains("\"custom/depth\""))
        let clusterNames = try golden.answer("/api/v1/model/namespaces/prod/metrics").body
        #expect(String(decoding: clusterNames, as: UTF8.self).contains("\"custom/orders\""))
    }

    @Test func externalMetricsAreThoseOfNoPod() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        _ = try push(
            golden,
            "backlog{topic=\"a\"} 1500\nbacklog{topic=\"b\"} 2500000\norders{namespace=\"prod\"} 12\n"
        )
        let external = "/apis/external.metrics.k8s.io/v1beta1/namespaces"
        func items(_ path: String) throws -> [[String: Any]] {
            try json(golden, "\(external)/\(path)").object["items"] as? [[String: Any]] ?? []
        }
        let all = try items("staging/backlog")
        #expect(all.map { $0["value"] as? String } == ["1500", "2500k"])
        #expect(
            all.map { $0["metricLabels"] as? [String: String] } == [["topic": "a"], ["topic": "b"]])
        #expect(try items("staging/backlog?labelSelector=topic%3Db").count == 1)
        #expect(try items("prod/orders").count == 1)
        #expect(try items("staging/orders").isEmpty)
    }

    @Test func aPushThatStopsIsNotCurrentAndIsForgotten() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        _ = try push(golden, "hits 5", path: "/shop/namespace/prod/pod/api-0")
        let path = "\(base)/namespaces/prod/pods/api-0/hits"
        #expect(try json(golden, path).status == 200)
        golden.clock.advance(nanoseconds: 181 * 1_000_000_000)
        #expect(try json(golden, path).status == 404)
        #expect(golden.api.custom.seriesCount > 0)
        golden.clock.advance(nanoseconds: 900 * 1_000_000_000)
        #expect(golden.api.custom.seriesCount == 0)
    }

    @Test func badPushesAreRefusedWithTheirReason() throws {
        guard let golden = try GoldenCluster(steps: 1) else { return }
        let before = golden.api.custom.seriesCount
        let longList = (0..<501).map { "m\($0){namespace=\"a\",pod=\"b\"} 1\n" }.joined()
        let cases: [(text: String, path: String, fields: String, status: Int, words: String)] = [
            ("a{", "", "", 400, "line 1: a label's name is missing"),
            ("a{pod=\"x\"} 1", "", "", 400, "a pod the label namespace"),
            ("a 1 5000", "", "", 400, "timestamp is not within"),
            ("a 1", "/namespace/x/namespace/y", "", 400, "twice"),
            ("a 1", "", "Content-Type: application/json\r\n", 415, "not application/json"),
            ("a 1", "", "Content-Encoding: gzip\r\n", 415, "not in gzip"),
            (
                longList, "", "", 422,
                "more than 500 pushed series of one pod (--push-max-series-per-pod), 500 of 501"
            ),
        ]
        for (text, path, fields, status, words) in cases {
            let answer = try push(golden, text, path: path, fields: fields)
            #expect(answer.status == status && answer.text.contains(words), "\(answer)")
        }
        #expect(golden.api.custom.seriesCount == before + 500)
    }

    @Test func whoPushesTooOftenIsToldWhenToComeAgain() throws {
        let clock = ManualClock()
        let budget = PusherBudget(
            .init(
                requestsPerSecond: 2, samplesPerSecond: 100, burstSeconds: 2, pusherCountMax: 3),
            clock: .manual(clock))
        for _ in 0..<4 { try budget.takeRequest(of: .user("a")) }
        #expect(throws: PusherBudget.Refusal.self) { try budget.takeRequest(of: .user("a")) }
        try budget.takeRequest(of: .user("b"))
        clock.advance(nanoseconds: 500_000_000)
        try budget.takeRequest(of: .user("a"))
        // A text larger than the bucket passes when the bucket is full.
        try budget.take(sampleCount: 1_000, of: .user("c"))
        do {
            try budget.take(sampleCount: 10, of: .user("c"))
            Issue.record("taken beyond the budget")
        } catch {
            #expect(error.retryAfterSeconds == 9)
        }
        // The fourth pusher makes room; nobody else loses more than the memory of its past.
        clock.advance(nanoseconds: 1)
        try budget.takeRequest(of: .user("d"))
        for _ in 0..<100 { try budget.takeRequest(of: .user("e\(Int.random(in: 0..<1_000_000))")) }
    }

    // MARK: Quantities and forms

    @Test(arguments: [
        (0.0, "0"), (1, "1"), (1.5, "1500m"), (0.1, "100m"), (-2.25, "-2250m"), (1e-9, "1n"),
        (1e-12, "0"), (0.1 + 0.2, "300m"), (12_345_678.1, "12345678100m"), (12.345678, "12345678u"),
        (1_000, "1k"), (1_500_000, "1500k"),
        (1e18, "1E"), (1e300, "9223372036854775807"),
    ])
    func quantitiesAreExact(value: Double, text: String) {
        #expect(Quantity(value)?.canonical == text)
    }

    @Test func noNumberIsNoQuantity() {
        #expect(Quantity(Double.nan) == nil && Quantity(Double.infinity) == nil)
    }

    @Test func theFirstVersionHasItsOwnNames() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let (_, list) = try json(
            golden,
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces/prod/pods/api-0/network_rx_rate")
        let item = try #require((list["items"] as? [[String: Any]])?.first)
        #expect(item["metricName"] as? String == "network_rx_rate" && item["window"] as? Int == 60)
    }

    @Test func discoveryNamesWhatIsThere() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        _ = try push(golden, "queue{namespace=\"prod\",pod=\"api-0\"} 1\nbacklog 2\n")
        let list = try json(golden, base).object["resources"] as? [[String: Any]] ?? []
        let names = Set(list.compactMap { $0["name"] as? String })
        #expect(
            names.isSuperset(of: [
                "pods/network_rx_rate", "pods/queue", "nodes/cpu_usage_rate",
                "namespaces/memory_usage", "pods/filesystem_usage",
            ]))
        #expect(names.count == list.count)
        let external = try json(golden, "/apis/external.metrics.k8s.io/v1beta1").object
        #expect(
            (external["resources"] as? [[String: Any]])?.map { $0["name"] as? String } == [
                "backlog"
            ])
    }
}
