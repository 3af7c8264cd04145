import Testing

@testable import Aggregator

@Suite struct RouterTests {
    private func router() -> Router {
        var router = Router()
        let model = router.addGroup(.heapster(prefix: "/api/v1/model"))
        var strict = RouteGroup(prefix: "/healthz")
        strict.allowsTrailingSlash = false
        let health = router.addGroup(strict)
        func route(_ method: HTTPMethod, _ pattern: String, _ group: Int) {
            router.add(method, pattern, group: group) { request in
                let values = (0..<request.parameterRanges.count).map { request.parameter($0) }
                return .now(.text(.ok, ([pattern] + values).joined(separator: "|")))
            }
        }
        route(.get, "/nodes", model)
        route(.get, "/nodes/{node}/metrics", model)
        route(.get, "/nodes/{node}/metrics/{metric...}", model)
        route(.get, "/nodes/special/{what}", model)
        route(.get, "/namespaces/{ns}/pods/{pod}/containers/{c}/metrics/{metric...}", model)
        route(.get, "", health)
        route(.post, "/push", 0)
        route(.get, "/push", 0)
        route(.get, "/", 0)
        return router
    }

    /// The answer's status and text.
    private func ask(_ target: String, _ fields: String = "", method: String = "GET") throws
        -> (code: Int, text: String, allow: String?)
    {
        let request = try get(target, fields, method: method)
        let answer: HTTPResponse
        switch router().route(request) {
        case .refusal(let response): answer = response
        case .handler(let handler):
            guard case .now(let response) = handler(request) else { return (0, "", nil) }
            answer = response
        }
        let allow = answer.fields.first { $0.name.description == "Allow" }?.value
        switch answer.body {
        case .bytes(let bytes):
            return (answer.status.code, String(decoding: bytes, as: UTF8.self), allow)
        case .text(let text): return (answer.status.code, text.description, allow)
        default: return (answer.status.code, "", allow)
        }
    }

    @Test func pathsFindTheirRoutesAndParameters() throws {
        let metric = "/nodes/{node}/metrics/{metric...}"
        for (target, text) in [
            ("/", "/"), ("http://h", "/"), ("/?a=b", "/"), ("/healthz", ""),
            ("/healthz?verbose", ""),
            ("/api/v1/model/nodes", "/nodes"), ("/api/v1/model/nodes/", "/nodes"),
            ("/api/v1/model/n%6fdes", "/nodes"),
            ("/api/v1/model/nodes/a/metrics", "/nodes/{node}/metrics|a"),
            ("/api/v1/model/nodes/a/metrics/", "/nodes/{node}/metrics|a"),
            ("/api/v1/model/nodes/a/metrics/cpu/usage_rate", "\(metric)|a|cpu/usage_rate"),
            ("/api/v1/model/nodes/a/metrics/cpu/usage_rate/", "\(metric)|a|cpu/usage_rate"),
            ("/api/v1/model/nodes/a/metrics/cpu%2Fusage_rate", "\(metric)|a|cpu/usage_rate"),
            ("/api/v1/model/nodes/special/x", "/nodes/special/{what}|x"),
            // A fixed segment that leads nowhere gives way to the parameter.
            ("/api/v1/model/nodes/special/metrics/x", "\(metric)|special|x"),
            (
                "/api/v1/model/namespaces/n/pods/p/containers/system.slice%2Fx%20y/metrics/m",
                "/namespaces/{ns}/pods/{pod}/containers/{c}/metrics/{metric...}"
                    + "|n|p|system.slice/x y|m"
            ),
            ("/api/v1/model/nodes/%zz%4/metrics", "/nodes/{node}/metrics|%zz%4"),
            ("/api/v1/model/nodes/a+b/metrics", "/nodes/{node}/metrics|a+b"),
        ] {
            let answer = try ask(target)
            #expect(answer.code == 200 && answer.text == text, "\(target): \(answer)")
        }
    }

    @Test func unknownPathsGetTheirGroupsWords() throws {
        for (target, text) in [
            ("/api/v1/model", "404: Page Not Found"), ("/api/v1/model/x", "404: Page Not Found"),
            ("/api/v1/model/nodes/a", "404: Page Not Found"),
            ("/api/v1/model/nodes//metrics", "404: Page Not Found"),
            ("/api%2Fv1/model/nodes", "404 page not found\n"), ("/x", "404 page not found\n"),
            ("/api/v1/models", "404 page not found\n"), ("//", "404 page not found\n"),
            ("/healthz/", "404 page not found\n"), ("/healthz/x", "404 page not found\n"),
        ] {
            let answer = try ask(target)
            #expect(answer.code == 404 && answer.text == text, "\(target): \(answer)")
        }
    }

    @Test func knownPathsRefuseOtherMethodsAndNameTheirOwn() throws {
        let heapster = try ask("/api/v1/model/nodes", method: "HEAD")
        #expect(heapster.code == 405 && heapster.text == "405: Method Not Allowed")
        #expect(heapster.allow == "GET")
        let push = try ask("/push", method: "DELETE")
        #expect(push.code == 405 && push.allow == "POST, GET, HEAD")
        #expect(try ask("/push", method: "HEAD").code == 200)
        #expect(try ask("/push", method: "get").code == 405)
    }

    @Test func whatTheClientDoesNotAcceptIsRefused() throws {
        let path = "/api/v1/model/nodes"
        for (accept, code) in [
            ("text/html", 406), ("application/json", 200), ("*/*", 200), ("application/*", 200),
            ("text/html, application/json;q=0.1", 200), ("application/json;q=0, */*", 406),
            ("*/*;q=0", 406), ("APPLICATION/JSON; charset=utf-8", 200), ("application/jso", 406),
            ("app*", 406),
        ] {
            let answer = try ask(path, "Accept: \(accept)\r\n")
            #expect(answer.code == code, "\(accept): \(answer)")
            if code == 406 { #expect(answer.text == "406: Not Acceptable") }
        }
    }

    @Test func qualitiesDecideBetweenTypes() throws {
        let request = try get(
            "/",
            "Accept: text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.75\r\n"
                + "Accept: */*;q=0.1\r\n")
        #expect(HTTPNegotiation.quality(of: "text/plain", in: request) == 500)
        #expect(HTTPNegotiation.quality(of: "application/openmetrics-text", in: request) == 750)
        #expect(HTTPNegotiation.quality(of: "application/json", in: request) == 100)
        #expect(HTTPNegotiation.quality(of: "application/json", in: try get("/")) == 1_000)
    }

    @Test func contentCodingsFollowTheirQualities() throws {
        for (value, coding) in [
            ("gzip", HTTPNegotiation.ContentCoding.gzip), ("deflate", .deflate), ("br", .identity),
            ("gzip;q=0", .identity), ("gzip;q=0.5, deflate", .deflate), ("*", .gzip),
            ("deflate, gzip", .gzip), ("identity", .identity), ("GZIP;Q=1.0", .gzip),
            ("gzip;q=0, *", .identity), ("*;q=0", .identity), ("gzip;q=0.001", .gzip),
            (" , gzip ; q=1 ,", .gzip),
        ] {
            let request = try get("/", "Accept-Encoding: \(value)\r\n")
            #expect(HTTPNegotiation.contentCoding(of: request) == coding, "\(value)")
        }
        #expect(HTTPNegotiation.contentCoding(of: try get("/")) == .identity)
    }

    @Test func queriesAreDecoded() throws {
        let request = try get("/?start=2026-01-01T00%3A00%3A00%2B01%3A00&a=1+2&a=%zz&b&=x&%61b=c&")
        #expect(request.queryValue("start") == "2026-01-01T00:00:00+01:00")
        #expect(request.queryValues("a") == ["1 2", "%zz"])
        #expect(request.queryValue("b")?.isEmpty == true)
        #expect(request.queryValue("ab") == "c")
        #expect(request.queryValue("c") == nil)
        #expect(try get("/").queryValue("a") == nil)
    }

    @Test func fieldValuesCannotBeginFieldsOfTheirOwn() {
        #expect(HTTPField("X", "a\r\nSet-Cookie: b\0").value == "a  Set-Cookie: b ")
        #expect(HTTPField("X", "täglich\t1").value == "täglich\t1")
    }

    @Test func datesAreWrittenAsTheStandardWritesThem() {
        var date = HTTPDate()
        date.update(realtimeNanoseconds: 784_111_777 * 1_000_000_000)
        #expect(
            String(decoding: date.line, as: UTF8.self) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n")
        #expect(date.line.count == HTTPDate.byteCount)
    }
}
