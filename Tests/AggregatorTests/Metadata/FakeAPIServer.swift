import Foundation
import Synchronization

/// An apiserver of a few pods that fails as a test wants it to.
final class FakeAPIServer: Sendable {
    struct State: Sendable {
        var token = "good"
        var forbidden: Set<String> = []
        var goneContinues = 0
        /// The resource version of lists.
        var version = 100
        var pods: [Int] = [1, 2, 3]
        /// Lines of the next watch, then it ends.
        var watches: [[String]] = []
        var failures = 0
        /// Answers to token reviews by token: the object `status`.
        var reviews: [String: String] = [:]
        /// `verb resource` that access reviews deny.
        var denied: Set<String> = []
        /// Pods that are found by name: namespace/name to the list's item.
        var namedPods: [String: String] = [:]
    }

    let server: ScriptedServer

    init(_ state: State = State()) throws {
        let shared = Shared(state)
        self.shared = shared
        server = try ScriptedServer { request, _ in shared.respond(request) }
    }

    let shared: Shared

    final class Shared: Sendable {
        let state: Mutex<State>
        init(_ state: State) { self.state = Mutex(state) }

        func respond(_ request: String) -> [ScriptedServer.Step] {
            state.withLock { state in
                let target = String(request.split(separator: " ")[1])
                guard request.contains("Authorization: Bearer \(state.token)\r\n") else {
                    return [.send(answer("401 Unauthorized", status(401, "Unauthorized")))]
                }
                if state.failures > 0 {
                    state.failures -= 1
                    return [.close]
                }
                if request.hasPrefix("POST ") { return [.send(review(state, request))] }
                let resource =
                    target.prefix { $0 != "?" }.split(separator: "/").last.map(String.init) ?? ""
                if state.forbidden.contains(resource) {
                    return [.send(answer("403 Forbidden", status(403, "\(resource) is forbidden")))]
                }
                if target.contains("watch=1") { return watch(&state, resource) }
                return list(&state, target, resource)
            }
        }

        /// Token reviews and access reviews.
        private func review(_ state: State, _ request: String) -> [UInt8] {
            let body = request.components(separatedBy: "\r\n\r\n").last ?? ""
            func field(_ name: String) -> String {
                guard let start = body.range(of: "\"\(name)\":\"") else { return "" }
                return String(body[start.upperBound...].prefix { $0 != "\"" })
            }
            let status: String
            if request.contains("/tokenreviews ") {
                let unknown = #"{"authenticated":false,"error":"invalid bearer token"}"#
                status = state.reviews[field("token")] ?? unknown
            } else {
                let isAllowed = !state.denied.contains("\(field("verb")) \(field("resource"))")
                status = #"{"allowed":\#(isAllowed)}"#
            }
            return answer("201 Created", #"{"kind":"Review","spec":\#(body),"status":\#(status)}"#)
        }

        private func list(_ state: inout State, _ target: String, _ resource: String)
            -> [ScriptedServer.Step]
        {
            if target.contains("fieldSelector=") {
                let namespace = target.split(separator: "/")[3]
                let name = target.split(separator: "%3D").last ?? ""
                let item = state.namedPods["\(namespace)/\(name)"] ?? ""
                return [
                    .send(answer("200 OK", #"{"kind":"PodList","metadata":{},"items":[\#(item)]}"#))
                ]
            }
            guard resource == "pods" else {
                return [
                    .send(answer("200 OK", #"{"metadata":{"resourceVersion":"7"},"items":[]}"#))
                ]
            }
            // Two parts: the first pod, and the others.
            if target.contains("continue=") {
                if state.goneContinues > 0 {
                    state.goneContinues -= 1
                    return [.send(answer("410 Gone", status(410, "too old")))]
                }
                return [.send(answer("200 OK", page(state, Array(state.pods.dropFirst()), "")))]
            }
            return [.send(answer("200 OK", page(state, Array(state.pods.prefix(1)), "a=b&c")))]
        }

        private func page(_ state: State, _ pods: [Int], _ next: String) -> String {
            let items = pods.map { FakeAPIServer.pod($0, version: state.version) }.joined(
                separator: ",")
            return
                #"{"kind":"PodList","metadata":{"resourceVersion":"\#(state.version)","continue":"\#(next)"},"items":[\#(items)]}"#
        }

        private func watch(_ state: inout State, _ resource: String) -> [ScriptedServer.Step] {
            let head = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
            guard resource == "pods", !state.watches.isEmpty else {
                return [.send(head), .pause(milliseconds: 60_000)]
            }
            let lines = state.watches.removeFirst()
            var steps: [ScriptedServer.Step] = [.send(head)]
            for line in lines {
                if line == "cut" { return steps + [.close] }
                let bytes = Array((line + "\n").utf8)
                steps.append(
                    .send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10]))
            }
            return steps + [.send(Array("0\r\n\r\n".utf8))]
        }

        private func status(_ code: Int, _ message: String) -> String {
            #"{"kind":"Status","status":"Failure","message":"\#(message)","code":\#(code)}"#
        }
    }

    static func pod(_ number: Int, version: Int, phase: String = "Running") -> String {
        #"{"metadata":{"name":"p\#(number)","namespace":"ns","uid":"u\#(number)","resourceVersion":"\#(version)"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]},"status":{"phase":"\#(phase)"}}"#
    }

    static func event(_ type: String, _ number: Int, version: Int, phase: String = "Running")
        -> String
    {
        #"{"type":"\#(type)","object":\#(pod(number, version: version, phase: phase))}"#
    }

    /// Requests for pods, without what is by chance.
    var podRequests: [String] {
        server.requests.compactMap { request in
            let target = String(request.split(separator: " ")[1])
            guard target.hasPrefix("/api/v1/pods") else { return nil }
            return target.replacing(/&timeoutSeconds=[0-9]+/, with: "")
        }
    }
}
