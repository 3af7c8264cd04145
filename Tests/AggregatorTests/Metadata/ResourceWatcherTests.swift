import Foundation
import Synchronization
import Testing
import Wire

@testable import Aggregator

/// An apiserver of a few pods that fails as a test wants it to.
private final class FakeAPIServer: Sendable {
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
                let resource =
                    target.prefix { $0 != "?" }.split(separator: "/").last.map(String.init) ?? ""
                if state.forbidden.contains(resource) {
                    return [.send(answer("403 Forbidden", status(403, "\(resource) is forbidden")))]
                }
                if state.failures > 0 {
                    state.failures -= 1
                    return [.close]
                }
                if target.contains("watch=1") { return watch(&state, resource) }
                return list(&state, target, resource)
            }
        }

        private func list(_ state: inout State, _ target: String, _ resource: String)
            -> [ScriptedServer.Step]
        {
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

@Suite(.serialized) struct ResourceWatcherTests {
    /// Runs a source against a fake until `done` or ten seconds.
    private func run(
        _ fake: FakeAPIServer, authorization: APIServerAccess.Authorization = .token("good"),
        until done: (PodDirectory, SourceStatus) -> Bool
    ) throws -> (PodDirectory, SourceStatus, finished: Bool) {
        var access = APIServerAccess(
            server: try HTTPURL(parsing: "http://127.0.0.1:\(fake.server.port)"))
        access.authorization = authorization
        let directory = PodDirectory()
        let source = try KubernetesSource(access, directory: directory)
        let end = Date().addingTimeInterval(10)
        var finished = false
        while !finished, Date() < end {
            usleep(10_000)
            finished = done(directory, source.status)
        }
        let status = source.status
        let began = Date()
        source.stop()
        #expect(Date().timeIntervalSince(began) < 2, "a watch does not let itself be interrupted")
        fake.server.stop()
        return (directory, status, finished)
    }

    private func names(_ directory: PodDirectory) -> Set<String> {
        Set(directory.pods().map(\.name))
    }

    @Test func aListInPartsAndThenEvents() throws {
        let fake = try FakeAPIServer(
            .init(watches: [
                [
                    FakeAPIServer.event("ADDED", 4, version: 101),
                    FakeAPIServer.event("DELETED", 2, version: 102),
                    FakeAPIServer.event("MODIFIED", 3, version: 103, phase: "Failed"),
                    #"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"200"}}}"#,
                ]
            ]))
        let (directory, status, finished) = try run(fake) { _, _ in fake.podRequests.count >= 4 }
        #expect(finished)
        #expect(names(directory) == ["p1", "p3", "p4"])
        #expect(directory.pod(uid: ObjectUID("u3"))?.phase == .failed)
        #expect(status.isSynchronized && status.troubles.isEmpty)
        #expect(
            fake.podRequests.prefix(4) == [
                "/api/v1/pods?limit=1000", "/api/v1/pods?limit=1000&continue=a%3Db%26c",
                "/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion=100",
                "/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion=200",
            ])
    }

    @Test func aCutWatchGoesOnWhereItWas() throws {
        let fake = try FakeAPIServer(
            .init(watches: [[FakeAPIServer.event("ADDED", 4, version: 101), "cut"]]))
        let (directory, status, finished) = try run(fake) { _, _ in fake.podRequests.count >= 4 }
        #expect(finished)
        #expect(fake.podRequests.last?.hasSuffix("resourceVersion=101") == true)
        #expect(status.snapshot["pods"]?.lists == 1 && status.snapshot["pods"]?.failures == 1)
        #expect(names(directory) == ["p1", "p2", "p3", "p4"])
    }

    @Test func goneMeansANewListThatIsTheWholeTruth() throws {
        let gone =
            #"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version"}}"#
        let fake = try FakeAPIServer(.init(watches: [[gone]]))
        let (_, status, finished) = try run(fake) { directory, status in
            // The pods change while nobody is told.
            if status.snapshot["pods"]?.lists == 1 {
                fake.shared.state.withLock { $0.pods = [3, 9] }
            }
            return status.snapshot["pods"]?.lists == 2 && directory.counts.pods == 2
        }
        #expect(finished)
        #expect(status.snapshot["pods"]?.failures == 0)
    }

    @Test func aListThatExpiresBetweenItsPartsBeginsAnew() throws {
        let fake = try FakeAPIServer(.init(goneContinues: 1))
        let (directory, _, finished) = try run(fake) { directory, _ in directory.counts.pods == 3 }
        #expect(finished)
        #expect(fake.podRequests.filter { $0 == "/api/v1/pods?limit=1000" }.count == 2)
        #expect(names(directory) == ["p1", "p2", "p3"])
    }

    @Test func failuresAreWaitedOut() throws {
        let fake = try FakeAPIServer(.init(failures: 8))
        let (_, status, finished) = try run(fake) { directory, _ in directory.counts.pods == 3 }
        #expect(finished)
        #expect(status.snapshot.values.contains { $0.failures > 0 })
        // Five kinds, each with pauses that grow: no storm.
        #expect(fake.server.requests.count < 40)
    }

    @Test func aRefusalSaysTheRule() throws {
        let fake = try FakeAPIServer(.init(forbidden: ["pods", "jobs"]))
        let (_, status, finished) = try run(fake) { _, status in
            status.snapshot["pods"]?.failingSince != nil
                && status.snapshot["jobs"]?.failingSince != nil
                && status.snapshot["nodes"]?.listed ?? 0 > 0
        }
        #expect(finished)
        #expect(
            status.snapshot["pods"]?.lastError
                == "http://127.0.0.1:\(fake.server.port)/api/v1/pods answered 403 (pods is forbidden); the "
                + "account may not list pods: give its ClusterRole the rule {apiGroups: [\"\"], resources: "
                + "[\"pods\"], verbs: [\"list\", \"watch\"]}")
        #expect(!status.isSynchronized && status.troubles.count == 2)
    }

    @Test func aRotatedTokenIsReadAgain() throws {
        let path = NSTemporaryDirectory() + "token-\(UUID().uuidString)"
        defer { unlink(path) }
        try Data("old\n".utf8).write(to: URL(fileURLWithPath: path))
        let fake = try FakeAPIServer()
        let (_, status, finished) = try run(fake, authorization: .tokenFile(path)) {
            directory, status in
            if status.snapshot["pods"]?.failingSince != nil {
                try? Data("good\n".utf8).write(to: URL(fileURLWithPath: path))
            }
            return directory.counts.pods == 3
        }
        #expect(finished)
        #expect(status.snapshot["pods"]?.failures ?? 0 > 0)
    }

    @Test func badEventsAreNotAppliedAndTheListIsMadeAnew() throws {
        let fake = try FakeAPIServer(
            .init(watches: [
                [
                    FakeAPIServer.event("ADDED", 4, version: 101),
                    #"{"type":"ADDED","object":{"spec":]}}"#,
                ]
            ]))
        let (directory, status, finished) = try run(fake) { _, status in
            status.snapshot["pods"]?.lists == 2
        }
        #expect(finished)
        #expect(status.snapshot["pods"]?.failures == 1)
        #expect(names(directory) == ["p1", "p2", "p3"])
    }
}
