import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct RequestAttributesTests {
    private static func resource(
        _ group: String, _ version: String, _ namespace: String, _ resource: String,
        _ name: String = "", _ subresource: String = ""
    ) -> RequestAttributes.Target {
        .resource(
            RequestAttributes.Resource(
                group: group, version: version, namespace: namespace, resource: resource,
                subresource: subresource, name: name))
    }

    /// By the rules of k8s.io/apiserver's RequestInfoFactory.
    private typealias Case = (
        method: String, path: String, verb: String, target: RequestAttributes.Target
    )

    private static let cases: [Case] =
        [
            ("GET", "/metrics", "get", .path("/metrics")),
            ("HEAD", "/metrics", "get", .path("/metrics")),
            ("POST", "/api/v1/push/prometheus", "post", .path("/heapwire/api/v1/push/prometheus")),
            ("GET", "/api/v1/model/nodes/", "get", .path("/heapwire/api/v1/model/nodes")),
            (
                "GET", "/api/v1/model/nodes/a%2Fb", "get",
                .path("/heapwire/api/v1/model/nodes/a%2Fb")
            ),
            ("GET", "/apis", "get", .path("/apis")),
            ("GET", "/apis/metrics.k8s.io/v1beta1", "get", .path("/apis/metrics.k8s.io/v1beta1")),
            ("GET", "/api/v1/nodes", "list", resource("", "v1", "", "nodes")),
            ("GET", "/api/v1/nodes/n", "get", resource("", "v1", "", "nodes", "n")),
            (
                "GET", "/apis/metrics.k8s.io/v1beta1/nodes", "list",
                resource("metrics.k8s.io", "v1beta1", "", "nodes")
            ),
            (
                "GET", "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods/p?watch=1", "get",
                resource("metrics.k8s.io", "v1beta1", "ns", "pods", "p")
            ),
            (
                "GET", "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/%2A/queue", "get",
                resource("custom.metrics.k8s.io", "v1beta2", "ns", "pods", "*", "queue")
            ),
            (
                "DELETE", "/apis/g/v1/namespaces/ns", "delete",
                resource("g", "v1", "", "namespaces", "ns")
            ),
            (
                "GET", "/apis/g/v1/namespaces/a%2Fb/pods", "list",
                resource("g", "v1", "a%2Fb", "pods")
            ),
        ]

    @Test func pathsMeanWhatTheyMeanToAnApiserver() throws {
        for (method, path, verb, target) in Self.cases {
            let attributes = RequestAttributes(try get(path, method: method))
            #expect(attributes.verb == verb && attributes.target == target, "\(method) \(path)")
        }
        let wide = RequestAttributes(try get("/api/v1/model/nodes")).wider
        #expect(wide?.target == .path("/heapwire/api/v1/model/*"))
        #expect(RequestAttributes(try get("/metrics")).wider == nil)
    }

    @Test func reviewsAreReadAndDamagedOnesRefused() throws {
        let token =
            #"{"kind":"TokenReview","metadata":{"a":[1,{}]},"status":{"authenticated":true,"user":{"username":"u","uid":"1","groups":["a","b"],"extra":{"z":["1"],"k":null},"more":1}}}"#
        let read = { (bytes: [UInt8]) throws(JSONError) -> TokenReviewStatus in
            try JSONScanner.read(bytes) { (json) throws(JSONError) in
                try TokenReviewStatus(&json)
            }
        }
        var user = RequestUser(name: "u", uid: "1", groups: ["a", "b"])
        user.extra = [.init(key: "k", values: []), .init(key: "z", values: ["1"])]
        let whole = Array(token.utf8)
        let status = try read(whole)
        #expect(status.isAuthenticated && status.user == user)
        for count in 0..<whole.count {
            #expect(throws: JSONError.self) { try read(Array(whole[..<count])) }
        }
        var random = SeededRandom(seed: 11)
        for _ in 0..<2_000 {
            var damaged = whole
            let place = Int(random.next() % UInt64(whole.count))
            damaged[place] ^= 1 << UInt8(random.next() % 8)
            // Whatever it says, it is read or refused; nobody is authenticated by a changed word.
            if let status = try? read(damaged), !status.isAuthenticated {
                #expect(place > 0)
            }
        }
        let denied = #"{"status":{"allowed":true,"denied":true}}"#
        let answer = try JSONScanner.read(Array(denied.utf8)) { (json) throws(JSONError) in
            try AccessReviewStatus(&json)
        }
        #expect(!answer.isAllowed)
    }

    @Test func theCacheForgetsAndStaysSmall() {
        let cache = ReviewCache<Int, Int>(countMax: 100, seconds: 10)
        for number in 0..<1_000 { cache.put(number, for: number, now: UInt64(number)) }
        #expect(cache.count <= 100)
        #expect(cache[999, now: 1_000] == 999)
        #expect(cache[0, now: 1_000] == nil)
        #expect(cache[999, now: 10_000_000_999] == nil)
        #expect(cache[998, now: 10_000_000_997] == 998)
    }
}
