import Foundation
import Testing
import Wire

@testable import Aggregator

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

    @Test func aCrowdComesAndGoesByEventsAlone() throws {
        let numbers = 100..<5_100
        let added = numbers.map { FakeAPIServer.event("ADDED", $0, version: 100 + $0) }
        let deleted = numbers.map { FakeAPIServer.event("DELETED", $0, version: 6_000 + $0) }
        // In two watches, as a long change meets an end of a watch.
        let fake = try FakeAPIServer(
            .init(watches: [Array(added[..<3_000]), Array(added[3_000...]) + deleted]))
        let (directory, status, finished) = try run(fake) { directory, status in
            status.snapshot["pods"]?.events == 10_000
        }
        #expect(finished)
        #expect(names(directory) == ["p1", "p2", "p3"])
        #expect(directory.counts.departedPods == 5_000)
        #expect(status.snapshot["pods"]?.lists == 1 && status.snapshot["pods"]?.failures == 0)
        #expect(fake.podRequests.last?.hasSuffix("resourceVersion=11099") == true)
    }

    @Test func whileItIsAwayNamesStayAndHealthSaysSinceWhen() throws {
        let fake = try FakeAPIServer(
            .init(watches: [[FakeAPIServer.event("ADDED", 4, version: 101), "cut"]]))
        var health: [String] = []
        let (directory, status, finished) = try run(fake) { directory, status in
            let metrics = MetadataMetrics(directory: directory, status: status)
            if health.isEmpty, directory.counts.pods == 4 {
                health.append(metrics.health)
                fake.shared.state.withLock { $0.failures = 3 }
            }
            if metrics.health.contains("pods not updated since 20") {
                if health.count < 2 { health.append(metrics.health) }
                #expect(directory.counts.pods == 4)
            }
            return health.count == 2 && metrics.health == "ok"
        }
        #expect(finished, "\(health)")
        #expect(health.last?.hasPrefix("ok\npods not updated since 20") == true, "\(health)")
        #expect(status.snapshot["pods"]?.lists == 1)
        #expect(names(directory) == ["p1", "p2", "p3", "p4"])
    }
}
