import TestSupport
import Testing

@testable import Aggregator

/// An apiserver's one Lease, with its optimistic lock.
final class LeaseMemory: LeaseStore, @unchecked Sendable {
    private(set) var lease: StoredLease?
    private var version = 0

    func answer(_ question: LeaseQuestion) -> LeaseAnswer {
        switch question {
        case .get: return lease.map { .lease($0) } ?? .absent
        case .create(let record): return lease == nil ? store(record) : .conflict
        case .update(let record, let expected):
            guard let lease else { return .absent }
            return lease.resourceVersion == expected ? store(record) : .conflict
        }
    }

    private func store(_ record: LeaseRecord) -> LeaseAnswer {
        version += 1
        lease = StoredLease(record: record, resourceVersion: "\(version)")
        return .stored(resourceVersion: "\(version)")
    }

    /// Somebody deletes it.
    func remove() { lease = nil }
}

/// Candidates with clocks of their own and a network that loses, delays and repeats nothing it should
/// not, in virtual time. What leads delivers a cycle each second, from where the last one stopped.
struct LeaderSimulation {
    /// One aggregator's run.
    struct Candidate {
        var election: LeaderElection
        /// The monotonic clock: `offset + rate * time`.
        let offset: UInt64
        let rate: Double
        let wallOffset: Int64
        /// A question on its way.
        var flight: Flight?
        /// Cut off from the apiserver until then.
        var cutUntil = 0.0
        /// Paused as a whole (SIGSTOP, a virtual machine that moves) until then.
        var pausedUntil = 0.0
        /// The newest cycle that it delivered or knows to be delivered, while it leads.
        var delivered: Int?

        func now(_ time: Double) -> UInt64 { offset + UInt64(time * rate * 1e9) }

        func leads(_ time: Double) -> Bool {
            election.leadingUntil.map { now(time) < $0 } ?? false
        }
    }

    struct Flight {
        var question: LeaseQuestion
        /// When the apiserver gets it; `nil` for never.
        var arrival: Double?
        var answer: LeaseAnswer?
        /// When the candidate hears of it.
        var end: Double
    }

    private static let tick = 0.05
    private static let requestTimeout = 5.0

    let store = LeaseMemory()
    private(set) var time = 0.0
    private(set) var candidates: [Candidate] = []
    /// Requests that nobody waits for any more, and that may yet arrive.
    private var strays: [(arrival: Double, question: LeaseQuestion)] = []
    private(set) var delivered: Set<Int> = []
    private(set) var firstDelivered: Int?
    private(set) var leads = 0
    private var storedCursor = -1
    private var random: SeededRandom
    private var nextNumber = 0
    var hasFaults = true

    private var timing = LeaderElection.Timing()

    /// - Parameter leaseDuration: nanoseconds; less than the renew deadline is a mistake.
    init(seed: UInt64, count: Int, leaseDuration: UInt64 = 15_000_000_000) {
        random = SeededRandom(seed: seed)
        timing.leaseDuration = leaseDuration
        for _ in 0..<count { candidates.append(make()) }
    }

    private mutating func make() -> Candidate {
        nextNumber += 1
        return Candidate(
            election: LeaderElection(identity: "candidate-\(nextNumber)", timing: timing),
            offset: UInt64.random(in: 1...1_000_000_000_000_000, using: &random),
            // Lease duration over renew deadline is 1.5; real clocks differ by a ten thousandth.
            rate: Double.random(in: 0.9...1.1, using: &random),
            wallOffset: Int64.random(in: -10_000_000_000...10_000_000_000, using: &random))
    }

    private mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }

    /// Runs, and looks at every tick that nothing is wrong.
    mutating func run(seconds: Double) {
        let end = time + seconds
        while time < end {
            time += Self.tick
            for index in strays.indices.reversed() where strays[index].arrival <= time {
                apply(strays.remove(at: index).question)
            }
            for index in candidates.indices { turn(index) }
            if candidates.filter({ $0.leads(time) }).count > 1 {
                let leaders = candidates.filter { $0.leads(time) }.map(\.election.identity)
                Issue.record("at \(time) these lead together: \(leaders)")
                return
            }
            if hasFaults { makeFaults() }
        }
    }

    private mutating func makeFaults() {
        let index = Int.random(in: 0..<candidates.count, using: &random)
        if chance(0.002) {
            candidates[index].cutUntil = time + Double.random(in: 0...40, using: &random)
        }
        if chance(0.001) {
            candidates[index].pausedUntil = time + Double.random(in: 0...40, using: &random)
        }
        if chance(0.001) { crash(index) }
        if chance(0.000_2) { releaseLease(index) }
    }

    /// `kill -9`, and a new process with another identity. Its request may still be on its way.
    private mutating func crash(_ index: Int) {
        abandon(candidates[index].flight)
        candidates[index] = make()
        candidates[index].pausedUntil = time + Double.random(in: 0...20, using: &random)
    }

    private mutating func releaseLease(_ index: Int) {
        guard candidates[index].leads(time), candidates[index].flight == nil else { return }
        if let question = candidates[index].election.release(
            now: candidates[index].now(time), wall: 0, cursors: cursors(of: index))
        {
            apply(question)
        }
        candidates[index] = make()
    }

    private func cursors(of index: Int) -> String {
        candidates[index].delivered.map(String.init) ?? ""
    }

    private mutating func abandon(_ flight: Flight?) {
        guard let flight, let arrival = flight.arrival, flight.answer == nil else { return }
        strays.append((arrival, flight.question))
    }

    @discardableResult
    private mutating func apply(_ question: LeaseQuestion) -> LeaseAnswer {
        let answer = store.answer(question)
        if let text = store.lease?.record.cursors, let cursor = Int(text) {
            if cursor < storedCursor { Issue.record("at \(time) the cursor went back") }
            storedCursor = cursor
        }
        return answer
    }

    private mutating func turn(_ index: Int) {
        // Requests travel though their sender is paused.
        if let arrival = candidates[index].flight?.arrival, arrival <= time,
            candidates[index].flight?.answer == nil,
            let question = candidates[index].flight?.question
        {
            let answer = apply(question)
            candidates[index].flight?.answer = answer
        }
        guard time >= candidates[index].pausedUntil else { return }
        let now = candidates[index].now(time)
        if let flight = candidates[index].flight {
            guard time >= flight.end else { return deliver(index) }
            candidates[index].flight = nil
            if flight.answer == nil { abandon(flight) }
            let answer = chanceOfLoss(index) ? nil : flight.answer
            conclude(
                index,
                candidates[index].election.take(
                    answer ?? .failed("lost"), now: now,
                    random: Double.random(in: 0..<1, using: &random)))
        }
        conclude(index, candidates[index].election.expire(now))
        deliver(index)
        let step = candidates[index].election.step(
            now: now, wall: Int64(time * 1_000) + candidates[index].wallOffset,
            cursors: cursors(of: index))
        guard case .ask(let question) = step else { return }
        candidates[index].flight = send(question, index)
    }

    private mutating func chanceOfLoss(_ index: Int) -> Bool {
        hasFaults && (chance(0.05) || time < candidates[index].cutUntil)
    }

    private mutating func send(_ question: LeaseQuestion, _ index: Int) -> Flight {
        if hasFaults, chance(0.05) || time < candidates[index].cutUntil {
            return Flight(question: question, arrival: nil, end: time + Self.requestTimeout)
        }
        let isSlow = hasFaults && chance(0.05)
        let arrival = time + Double.random(in: 0...(isSlow ? 30 : 0.2), using: &random)
        let end = arrival + Double.random(in: 0...(isSlow ? 10 : 0.2), using: &random)
        return Flight(
            question: question, arrival: arrival, end: min(end, time + Self.requestTimeout))
    }

    private mutating func conclude(_ index: Int, _ change: LeaderElection.Change?) {
        switch change {
        case .acquired(let cursors):
            leads += 1
            // Nobody wrote a cursor yet: from now on, or all that is known.
            candidates[index].delivered =
                cursors.flatMap { Int($0) } ?? firstDelivered.map { $0 - 1 }
        case .lost: candidates[index].delivered = nil
        case nil: break
        }
    }

    /// Whoever leads catches up with the present.
    private mutating func deliver(_ index: Int) {
        guard candidates[index].leads(time) else { return }
        let newest = Int(time)
        let first = candidates[index].delivered.map { $0 + 1 } ?? newest
        guard first <= newest else { return }
        for cycle in first...newest { delivered.insert(cycle) }
        if firstDelivered == nil { firstDelivered = first }
        candidates[index].delivered = newest
    }

    /// Every cycle since the first, up to now.
    var missing: [Int] {
        guard let firstDelivered else { return [] }
        return (firstDelivered...Int(time)).filter { !delivered.contains($0) }
    }
}
