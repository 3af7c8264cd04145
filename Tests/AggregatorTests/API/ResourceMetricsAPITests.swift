import Foundation
import Testing

@testable import Aggregator

@Suite struct ResourceMetricsAPITests {
    private func json(_ golden: GoldenCluster, _ target: String, _ accept: String = "") throws
        -> (status: Int, object: [String: Any])
    {
        let fields = accept.isEmpty ? "" : "Accept: \(accept)\r\n"
        let (response, body) = try golden.answer(target, fields)
        let object = try JSONSerialization.jsonObject(with: Data(body))
        return (response.status.code, object as? [String: Any] ?? [:])
    }

    private func names(_ object: [String: Any]) -> [String] {
        (object["items"] as? [[String: Any]] ?? []).map {
            ($0["metadata"] as? [String: Any])?["name"] as? String ?? ""
        }
    }

    private let base = "/apis/metrics.k8s.io/v1beta1"

    @Test func aNodeHasTheUseOfItsLastCycle() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let (status, node) = try json(golden, "\(base)/nodes/node-a")
        #expect(status == 200)
        #expect(node["kind"] as? String == "NodeMetrics")
        #expect(node["timestamp"] as? String == "2026-01-01T00:03:00Z")
        #expect(node["window"] as? String == "1m0s")
        // 45,420,005,000 ns in 60 s, in whole nanocores; Heapster's 757m are its millicores.
        let usage = node["usage"] as? [String: String]
        #expect(usage == ["cpu": "757000083n", "memory": "1117372Ki"])
    }

    @Test func listsAreSortedAndNarrowedBySelectors() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        #expect(
            names(try json(golden, "\(base)/nodes").object) == ["node-a", "node-b", "node-c"])
        #expect(
            names(try json(golden, "\(base)/pods?labelSelector=app%20in%20(web,db)").object)
                == ["web-0", "web-1", "db-0"])
        #expect(
            names(try json(golden, "\(base)/pods?fieldSelector=metadata.namespace%3Dprod").object)
                == ["api-0", "api-1", "db-0"])
        #expect(
            names(try json(golden, "\(base)/namespaces/staging/pods").object)
                == ["worker-0", "worker-1"])
        for bad in ["labelSelector=a%20b", "fieldSelector=spec.nodeName%3Dx"] {
            let (status, object) = try json(golden, "\(base)/pods?\(bad)")
            #expect(status == 400 && object["reason"] as? String == "BadRequest")
        }
        #expect(try json(golden, "\(base)/pods?watch=true").status == 405)
    }

    /// What `kubectl top node` asks beside: how large the nodes are.
    @Test func nodesAreListedAndShownWithWhatCanBeHadOfThem() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let path = "/api/v1/nodes"
        #expect(names(try json(golden, path).object) == ["node-a", "node-b", "node-c"])
        #expect(
            names(try json(golden, "\(path)?fieldSelector=metadata.name%3Dnode-b").object)
                == ["node-b"])
        #expect(try json(golden, "\(path)?fieldSelector=spec.podCIDR%3Dx").status == 400)
        let items = try json(golden, path).object["items"] as? [[String: Any]] ?? []
        let (status, one) = try json(golden, "\(path)/node-a")
        #expect(status == 200 && one["kind"] as? String == "Node")
        let listed = try #require(items.first?["status"] as? [String: [String: String]])
        #expect(one["status"] as? [String: [String: String]] == listed)
        #expect(listed["allocatable"]?["cpu"]?.isEmpty == false)
        let (missing, object) = try json(golden, "\(path)/nobody")
        #expect(missing == 404 && object["reason"] as? String == "NotFound")
    }

    @Test func aPodWithAContainerThatIsNotReadIsNotHidden() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let (status, pod) = try json(golden, "\(base)/namespaces/prod/pods/api-1")
        let containers = pod["containers"] as? [[String: Any]] ?? []
        #expect(status == 200 && containers.map { $0["name"] as? String } == ["api"])
        let (missing, object) = try json(golden, "\(base)/namespaces/prod/pods/nope")
        #expect(missing == 404 && object["reason"] as? String == "NotFound")
        #expect(
            object["message"] as? String == "podmetrics.metrics.k8s.io \"prod/nope\" not found")
    }

    @Test func tablesAndAggregatedDiscoveryAreWhatWasAskedFor() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let table = try json(
            golden, "\(base)/nodes", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        ).object
        #expect(table["kind"] as? String == "Table")
        #expect((table["rows"] as? [Any])?.count == 3)
        let old = try json(golden, "/apis").object
        #expect(old["kind"] as? String == "APIGroupList")
        let new = try json(
            golden, "/apis",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        ).object
        #expect(new["kind"] as? String == "APIGroupDiscoveryList")
    }

    @Test(arguments: [
        (Int64(0), "0"), (1, "1n"), (57_000_000, "57m"), (57_000_001, "57000001n"),
        (1_500, "1500n"), (2_000_000_000, "2"),
    ])
    func processorTimeIsInTheLargestUnitThatShowsItWhole(nanocores: Int64, text: String) {
        #expect(UsageText.cpu(nanocores) == text)
    }

    @Test(arguments: [(Int64(0), "0s"), (15_012, "15.012s"), (60_000, "1m0s"), (500, "500ms")])
    func durationsAreGos(milliseconds: Int64, text: String) {
        #expect(UsageText.duration(milliseconds) == text)
    }
}
