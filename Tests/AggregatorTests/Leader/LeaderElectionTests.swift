import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

struct LeaderElectionTests {
    private static let second: UInt64 = 1_000_000_000

    // MARK: Simulation

    /// Crashes, pauses, partitions, lost answers, requests that arrive long after nobody waits.
    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func neverTwoLeadAndNoCycleIsLost(seed: UInt64) {
        var world = LeaderSimulation(seed: seed, count: 2 + Int(seed % 2))
        world.run(seconds: 1_200)
        world.hasFaults = false
        world.run(seconds: 90)
        #expect(world.leads >= 3, "seed \(seed): \(world.leads) changes only")
        #expect(world.candidates.filter { $0.leads(world.time) }.count == 1, "seed \(seed)")
        #expect(world.missing == [], "seed \(seed)")
    }

    /// The simulation would notice: candidates that believe in the holder's clock lead together.
    @Test func theSimulationSeesTwoLeaders() {
        withKnownIssue {
            var world = LeaderSimulation(seed: 7, count: 2, leaseDuration: 3 * Self.second)
            world.run(seconds: 1_200)
        }
    }

    // MARK: One rule at a time

    /// Asks until there is nothing more to ask, without time going by.
    private func settle(
        _ election: inout LeaderElection, _ store: LeaseMemory, _ now: UInt64,
        cursors: String = ""
    ) -> [LeaderElection.Change] {
        var changes: [LeaderElection.Change] = []
        for _ in 0..<10 {
            if let change = election.expire(now) { changes.append(change) }
            guard
                case .ask(let question) = election.step(
                    now: now, wall: Int64(now / 1_000_000), cursors: cursors)
            else { break }
            let answer = store.answer(question)
            if let change = election.take(answer, now: now, random: 0) { changes.append(change) }
        }
        return changes
    }

    @Test func theFirstMakesTheLeaseAndTheSecondWaitsForWhatItSawItself() {
        let store = LeaseMemory()
        var (first, second) = (LeaderElection(identity: "a"), LeaderElection(identity: "b"))
        #expect(settle(&first, store, 0) == [.acquired(cursors: nil)])
        #expect(first.leadingUntil == 10 * Self.second)
        // The second sees it for the first time an hour later by its own clock.
        let start = 3_600 * Self.second
        #expect(settle(&second, store, start) == [])
        #expect(settle(&second, store, start + 14 * Self.second) == [])
        // A renewal that it sees begins its time anew.
        #expect(settle(&first, store, 9 * Self.second, cursors: "x") == [])
        #expect(settle(&second, store, start + 16 * Self.second) == [])
        #expect(settle(&second, store, start + 30 * Self.second) == [])
        #expect(
            settle(&second, store, start + 33 * Self.second) == [.acquired(cursors: "x")])
        #expect(store.lease?.record.holderIdentity == "b")
        #expect(store.lease?.record.leaseTransitions == 1)
        #expect(store.lease?.record.cursors == "x")
        // The first finds out by its next write.
        #expect(settle(&first, store, 11 * Self.second) == [.lost])
    }

    @Test func aReleasedLeaseIsTakenAtTheNextLook() throws {
        let store = LeaseMemory()
        var (first, second) = (LeaderElection(identity: "a"), LeaderElection(identity: "b"))
        _ = settle(&first, store, 0)
        #expect(settle(&second, store, 0) == [])
        let released = first.release(now: Self.second, wall: 5, cursors: "end")
        let question = try #require(released)
        #expect(first.leadingUntil == nil)
        _ = store.answer(question)
        #expect(store.lease?.record.holderIdentity == "")
        #expect(settle(&second, store, 3 * Self.second) == [.acquired(cursors: "end")])
        #expect(first.release(now: Self.second, wall: 5, cursors: "again") == nil)
    }

    @Test func anAnswerThatCameTooLateIsNoLead() {
        let store = LeaseMemory()
        var election = LeaderElection(identity: "a")
        guard case .ask(.get) = election.step(now: 0, wall: 0, cursors: "") else {
            Issue.record("no look first")
            return
        }
        #expect(election.take(.absent, now: 0, random: 0) == nil)
        guard case .ask(let create) = election.step(now: 0, wall: 0, cursors: "") else {
            Issue.record("no write")
            return
        }
        let answer = store.answer(create)
        #expect(election.take(answer, now: 10 * Self.second, random: 0) == nil)
        #expect(election.leadingUntil == nil)
        // The Lease is its own, so the next write is a lead at once.
        #expect(settle(&election, store, 10 * Self.second).count == 1)
        #expect(election.leadingUntil == 20 * Self.second)
    }

    @Test func aLeadEndsAtTheRenewDeadlineWithoutAnybodysAnswer() {
        let store = LeaseMemory()
        var election = LeaderElection(identity: "a")
        _ = settle(&election, store, 0)
        for seconds in [2, 4, 6, 8] as [UInt64] {
            let now = seconds * Self.second
            guard case .ask = election.step(now: now, wall: 0, cursors: "") else {
                Issue.record("no attempt at \(seconds) s")
                return
            }
            #expect(election.take(.failed("cut"), now: now, random: 0.9) == nil)
        }
        #expect(election.expire(10 * Self.second - 1) == nil)
        #expect(election.expire(10 * Self.second) == .lost)
        #expect(election.expire(11 * Self.second) == nil)
    }

    @Test func candidatesComeApartFromEachOther() {
        let store = LeaseMemory()
        var holder = LeaderElection(identity: "a")
        _ = settle(&holder, store, 0)
        var waits: [UInt64] = []
        for random in [0, 0.5, 0.999] {
            var election = LeaderElection(identity: "b")
            guard case .ask(let question) = election.step(now: 0, wall: 0, cursors: "") else {
                continue
            }
            _ = election.take(store.answer(question), now: 0, random: random)
            guard case .wait(let until) = election.step(now: 0, wall: 0, cursors: "") else {
                continue
            }
            waits.append(until)
        }
        #expect(waits.count == 3 && waits == waits.sorted())
        #expect(waits.first == 2 * Self.second)
        #expect(waits.last.map { $0 > 4_300_000_000 && $0 < 4_400_000_000 } == true)
    }

    @Test func aLeaseThatSomebodyDeletedIsMadeAgain() {
        let store = LeaseMemory()
        var election = LeaderElection(identity: "a")
        _ = settle(&election, store, 0)
        store.remove()
        #expect(settle(&election, store, 2 * Self.second, cursors: "here") == [])
        #expect(store.lease?.record.holderIdentity == "a")
        #expect(store.lease?.record.cursors == "here")
        #expect(election.leadingUntil == 12 * Self.second)
    }

    // MARK: The object

    /// As kube-apiserver 1.32 writes it, with what others put beside.
    private static let object = """
        {"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"heapwire-aggregator",
        "namespace":"kube-system","uid":"ec9a…","resourceVersion":"4711","creationTimestamp":
        "2026-11-21T15:00:00Z","labels":{"x":"y"},"annotations":{"heapwire.io/sink-cursors":
        "heapwire-sinks 1\\nkafka 10\\n","other":"z"},"managedFields":[{"manager":"m","fieldsV1":{}}]},
        "spec":{"holderIdentity":"agg-0_1f","leaseDurationSeconds":15,"acquireTime":
        "2026-11-21T15:00:00.000000Z","renewTime":"2026-11-21T15:00:02.120000Z","leaseTransitions":3}}
        """

    private func parse(_ text: String) throws -> StoredLease {
        try Array(text.utf8).withUnsafeBytes { try StoredLease(parsing: $0) }
    }

    @Test func anObjectIsReadAndWrittenAsTheApiserverHasIt() throws {
        let lease = try parse(Self.object)
        #expect(lease.resourceVersion == "4711")
        #expect(
            lease.record
                == LeaseRecord(
                    holderIdentity: "agg-0_1f", leaseDurationSeconds: 15,
                    acquireTime: "2026-11-21T15:00:00.000000Z",
                    renewTime: "2026-11-21T15:00:02.120000Z", leaseTransitions: 3,
                    cursors: "heapwire-sinks 1\nkafka 10\n"))
        let made = lease.record.object(name: "n", namespace: "s")
        #expect(try parse(String(decoding: made, as: UTF8.self)).record == lease.record)
        let patch = try #require(
            try JSONSerialization.jsonObject(
                with: Data(lease.record.patch(resourceVersion: "4711"))) as? [String: Any])
        let metadata = try #require(patch["metadata"] as? [String: Any])
        #expect(metadata["resourceVersion"] as? String == "4711" && metadata.count == 2)
        // A Lease that another program made may have nothing but a name.
        let bare = try parse(
            #"{"metadata":{"resourceVersion":"1"},"spec":{"holderIdentity":null}}"#)
        #expect(bare.record == LeaseRecord())
        #expect(LeaseRecord.microTime(milliseconds: 1_795_248_080_007).hasSuffix(".007000Z"))
        #expect(LeaseRecord.microTime(milliseconds: 1_795_248_080_000).hasSuffix(":20.000000Z"))
    }

    @Test func aDamagedObjectIsAnErrorAtEveryByte() {
        let bytes = Array(Self.object.utf8)
        for end in 0..<bytes.count {
            #expect(throws: JSONError.self, "\(end)") {
                try bytes[..<end].withUnsafeBytes { try StoredLease(parsing: $0) }
            }
        }
    }
}
