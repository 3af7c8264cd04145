import Foundation
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Who may speak for a node, asked of a fake apiserver.
@Suite(.serialized) struct TokenReviewTests {
    // MARK: The answer

    private static func status(
        account: String = "system:serviceaccount:kube-system:heapwire-agent",
        audiences: String = #"["heapwire"]"#, pod: String = "agent-1",
        uid: String = "6d7e6a8e-1111-4222-8333-444455556666"
    ) -> String {
        #"{"authenticated":true,"user":{"username":"\#(account)","uid":"1","groups":["system:serviceaccounts"],"extra":{"other":["x"],"authentication.kubernetes.io/pod-name":["\#(pod)"],"authentication.kubernetes.io/pod-uid":["\#(uid)"]}},"audiences":\#(audiences)}"#
    }

    private static func answer(_ status: String) throws(JSONError) -> TokenReview.Answer {
        let bytes = Array(#"{"kind":"TokenReview","spec":{"token":"t"},"status":\#(status)}"#.utf8)
        return try bytes.span.bytes.withUnsafeBytes { bytes throws(JSONError) in
            try TokenReview.answer(parsing: bytes, audience: "heapwire")
        }
    }

    @Test func onlyAWholeAnswerIsBelieved() throws {
        let identity = TokenReview.Identity(
            namespace: "kube-system", serviceAccount: "heapwire-agent", podName: "agent-1",
            podUID: ObjectUID("6d7e6a8e-1111-4222-8333-444455556666"))
        #expect(try Self.answer(Self.status()) == .authenticated(identity))
        let refused: [(String, String)] = [
            (#"{"error":"expired"}"#, "expired"), ("null", "does not know"),
            ("{}", "does not know"),
            (#"{"authenticated":false,"user":{"username":"x"}}"#, "does not know"),
            (Self.status(audiences: "[]"), "audience"),
            (Self.status(audiences: "null"), "audience"),
            (Self.status(audiences: #"["https://kubernetes.default.svc"]"#), "audience"),
            (Self.status(account: "admin"), "not a service account"),
            (Self.status(account: "system:serviceaccount:a:b:c"), "not a service account"),
            (Self.status(pod: ""), "bound to no pod"), (Self.status(uid: ""), "bound to no pod"),
        ]
        for (status, words) in refused {
            guard case .refused(let found) = try Self.answer(status) else {
                Issue.record("\(status) was believed")
                continue
            }
            #expect(found.contains(words), "\(status): \(found)")
        }
    }

    @Test func anAnswerThatIsCutOffIsRefused() throws {
        let bytes = Array(#"{"status":\#(Self.status())}"#.utf8)
        for count in bytes.indices {
            #expect(throws: JSONError.self, "cut at \(count)") {
                try bytes[..<count].withUnsafeBytes {
                    _ = try TokenReview.answer(parsing: $0, audience: "heapwire")
                }
            }
        }
    }

    @Test func theExpiryIsReadFromTheTokenItself() {
        func token(_ claims: String) -> String {
            let body = Data(claims.utf8).base64EncodedString()
                .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
                .replacingOccurrences(of: "=", with: "")
            return "e30.\(body).c2ln"
        }
        #expect(
            TokenReview.expiry(of: token(#"{"exp":1700000000,"aud":["heapwire"]}"#))
                == 1_700_000_000_000)
        #expect(TokenReview.expiry(of: token(#"{"sub":"größe???","exp":5}"#)) == 5_000)
        for bad in [
            "", "a.b", "a.b.c.d", token("{}"), token(#"{"exp":"x"}"#),
            token(#"{"exp":9223372036854775807}"#),
            token("["), "a.!!!.c", "a..c",
        ] { #expect(TokenReview.expiry(of: bad) == nil, "\(bad)") }
    }

    // MARK: The reviewer

    private struct World {
        let fake: FakeAPIServer
        let directory = PodDirectory()
        let clock = ManualClock(realtimeNanoseconds: 1_000_000_000_000_000)
        let reviewer: TokenReviewer

        init(_ state: FakeAPIServer.State) throws {
            fake = try FakeAPIServer(state)
            var access = APIServerAccess(
                server: try HTTPURL(parsing: "http://127.0.0.1:\(fake.server.port)"))
            access.authorization = .token("good")
            reviewer = try TokenReviewer(
                .init(namespace: "kube-system", serviceAccount: "heapwire-agent"), access: access,
                directory: directory, clock: .manual(clock), threadCount: 2)
        }

        func stop() {
            reviewer.stop()
            fake.server.stop()
        }

        /// What comes of a hello, asking if need be.
        func verdict(_ token: String, node: String = "n1") -> AgentVerdict {
            var hello = Hello(nodeName: node, runID: Array(repeating: 1, count: 16))
            hello.credential = .serviceAccountToken(token)
            if let known = reviewer.verdict(hello) { return known }
            let done = DispatchSemaphore(value: 0)
            let found = Mutex<AgentVerdict?>(nil)
            reviewer.review(hello) { verdict in
                found.withLock { $0 = verdict }
                done.signal()
            }
            #expect(done.wait(timeout: .now() + 20) == .success)
            return found.withLock { $0 } ?? .refused(Farewell(.unknown, "no answer"))
        }

        func addPod(node: String = "n1") {
            var parts = Pod.Parts()
            parts.namespace = "kube-system"
            parts.name = "agent-1"
            parts.uid = ObjectUID("6d7e6a8e-1111-4222-8333-444455556666")
            parts.nodeName = node
            directory.apply(.pod(Pod(parts)), now: 1)
        }
    }

    private static func code(_ verdict: AgentVerdict) -> Farewell.Code? {
        if case .refused(let farewell) = verdict { return farewell.code }
        return nil
    }

    private static func words(_ verdict: AgentVerdict) -> String {
        if case .refused(let farewell) = verdict { return farewell.words }
        return ""
    }

    @Test func anAgentSpeaksForTheNodeOfItsPodOnly() throws {
        let world = try World(
            .init(reviews: [
                "agent": Self.status(),
                "other": Self.status(account: "system:serviceaccount:kube-system:other"),
                "elsewhere": Self.status(account: "system:serviceaccount:shop:heapwire-agent"),
            ]))
        defer { world.stop() }
        world.addPod()
        #expect(world.verdict("agent") == .accepted)
        let other = world.verdict("agent", node: "n2")
        #expect(Self.code(other) == .forbidden && Self.words(other).contains("is on node n1"))
        for token in ["other", "elsewhere"] {
            let verdict = world.verdict(token)
            #expect(Self.code(verdict) == .forbidden)
            #expect(Self.words(verdict).contains("--agent-service-account"))
        }
        #expect(Self.code(world.verdict("nobody's")) == .unauthenticated)
        var bare = Hello(nodeName: "n1", runID: Array(repeating: 1, count: 16))
        #expect(Self.code(world.reviewer.verdict(bare) ?? .accepted) == .unauthenticated)
        bare.credential = .sharedToken("agent")
        #expect(Self.code(world.reviewer.verdict(bare) ?? .accepted) == .unauthenticated)
    }

    @Test func answersAreKeptForFiveMinutesAndRefusalsForTenSeconds() throws {
        let world = try World(.init(reviews: ["agent": Self.status()]))
        defer { world.stop() }
        world.addPod()
        for _ in 0..<5 { #expect(world.verdict("agent") == .accepted) }
        #expect(world.reviewer.reviews == 1)
        for _ in 0..<5 { #expect(world.verdict("bad") != .accepted) }
        #expect(world.reviewer.reviews == 2)
        world.clock.advance(nanoseconds: 11_000_000_000)
        _ = world.verdict("bad")
        #expect(world.verdict("agent") == .accepted && world.reviewer.reviews == 3)
        // A token that was revoked meanwhile is found out.
        world.fake.shared.state.withLock { $0.reviews = [:] }
        world.clock.advance(nanoseconds: 290_000_000_000)
        #expect(Self.code(world.verdict("agent")) == .unauthenticated)
        #expect(world.reviewer.reviews == 4)
    }

    @Test func anAnswerIsNotKeptLongerThanTheTokenLives() throws {
        // exp 1000010 s, ten seconds from the clock's now.
        let token = "e30.eyJleHAiOjEwMDAwMTB9.c2ln"
        let world = try World(.init(reviews: [token: Self.status()]))
        defer { world.stop() }
        world.addPod()
        #expect(world.verdict(token) == .accepted)
        world.clock.advance(nanoseconds: 9_000_000_000)
        #expect(world.verdict(token) == .accepted && world.reviewer.reviews == 1)
        world.clock.advance(nanoseconds: 2_000_000_000)
        #expect(world.verdict(token) == .accepted && world.reviewer.reviews == 2)
    }

    @Test func aPodThatTheWatchHasNotToldOfIsAskedFor() throws {
        let item =
            #"{"metadata":{"name":"agent-1","namespace":"kube-system","uid":"6d7e6a8e-1111-4222-8333-444455556666"},"spec":{"nodeName":"n1","containers":[]}}"#
        let world = try World(
            .init(reviews: ["agent": Self.status()], namedPods: ["kube-system/agent-1": item]))
        defer { world.stop() }
        #expect(world.verdict("agent") == .accepted)
        #expect(Self.code(world.verdict("agent", node: "n2")) == .forbidden)
        // Another pod of that name is not the one.
        world.fake.shared.state.withLock {
            $0.namedPods["kube-system/agent-1"] = item.replacingOccurrences(
                of: "6d7e", with: "ffff")
        }
        let gone = world.verdict("agent")
        #expect(Self.code(gone) == .forbidden && Self.words(gone).contains("does not exist"))
        #expect(world.reviewer.reviews == 1)
        // And one that went is none, though its name is still known.
        world.addPod()
        #expect(world.verdict("agent") == .accepted)
        world.directory.apply(
            .podRemoved(ObjectUID("6d7e6a8e-1111-4222-8333-444455556666")), now: 2)
        #expect(Self.code(world.verdict("agent")) == .forbidden)
    }

    @Test func withoutAnApiserverNobodyIsBelievedAndToldToComeBack() throws {
        let world = try World(.init(failures: 1_000, reviews: ["agent": Self.status()]))
        defer { world.stop() }
        world.addPod()
        let verdict = world.verdict("agent")
        #expect(Self.code(verdict) == .overloaded && world.reviewer.failures == 1)
        world.fake.shared.state.withLock { $0.failures = 0 }
        #expect(world.verdict("agent") == .accepted)
        // What is known holds while the apiserver is away again.
        world.fake.shared.state.withLock { $0.failures = 1_000 }
        #expect(world.verdict("agent") == .accepted)
    }

    // MARK: The session

    @Test func aSessionWaitsForTheVerdictAndTakesNothingMeanwhile() throws {
        let world = try World(.init(reviews: ["agent": Self.status()]))
        defer { world.stop() }
        world.addPod()
        for node in ["n1", "n2"] {
            world.clock.advance(nanoseconds: 400_000_000_000)
            let cluster = Cluster(configuration: ModelConfiguration(), namespaceOfPod: { _ in nil })
            var authentication = AgentAuthentication()
            authentication.reviewer = world.reviewer
            var session = IngestSession(
                cluster: cluster, authentication: authentication, counters: IngestCounters())
            var hello = Hello(nodeName: node, runID: Array(repeating: 1, count: 16))
            hello.credential = .serviceAccountToken("agent")
            var bytes = Hello.preface
            Record(type: .hello, payload: hello.encode()).encode(into: &bytes)
            let helloEnd = bytes.count
            Record(type: .goodbye, payload: Farewell(.shutdown, "").encode()).encode(into: &bytes)
            var output: [UInt8] = []
            let consumed = bytes.withUnsafeBytes {
                session.receive($0, now: 1, output: &output)
            }
            #expect(consumed == helloEnd && output.isEmpty && !session.isStreaming)
            #expect(session.helloUnderReview?.nodeName == node)
            let verdict = world.verdict("agent", node: node)
            session.reviewed(verdict, now: 2, output: &output)
            #expect(session.isStreaming == (node == "n1") && session.isEnded == (node == "n2"))
            #expect(!output.isEmpty && session.helloUnderReview == nil)
            let rest = bytes[consumed...].withUnsafeBytes {
                session.receive($0, now: 3, output: &output)
            }
            #expect(rest == bytes.count - consumed && session.isEnded)
        }
    }
}
