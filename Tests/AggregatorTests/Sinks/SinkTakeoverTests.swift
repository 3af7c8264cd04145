import Foundation
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// One aggregator's sinks go on where another's stopped.
@Suite struct SinkTakeoverTests {
    typealias World = CycleFeederTests.World
    private static let resolution: Int64 = 10_000
    private static func step(_ number: Int) -> Int64 { World.start + Int64(number) * resolution }

    /// Both get every frame; `late` nodes bring some steps later.
    private func receive(_ worlds: [World], _ numbers: ClosedRange<Int>) throws {
        for number in numbers {
            for world in worlds {
                world.pass(milliseconds: 1_000, steps: 9)
                for node in ["a", "b"] { try world.receive(node, at: Self.step(number)) }
                world.pass(milliseconds: 1_000)
            }
        }
    }

    private func cursor(of world: World, _ progress: inout SinkProgress) throws -> SinkCursor {
        try #require(try cursors(of: world, &progress).sinks["s"])
    }

    /// As they travel, of a set whose one sink has taken everything.
    private func cursors(of world: World, _ progress: inout SinkProgress) throws -> SinkCursors {
        var feeder = try #require(world.feeder.progress)
        let absent = feeder.absent
        feeder.absent = [:]
        let known = progress.cursor(after: feeder, queued: [])
        let cursors = SinkCursors(["s": try #require(known)], absent: absent)
        #expect(SinkCursors(parsing: cursors.text) == cursors)
        return cursors
    }

    private func resume(
        _ world: World, _ cursor: SinkCursor, absent: [String: CycleRanges] = [:]
    ) {
        world.feeder.resume(
            CycleCursor(
                through: cursor.through, absent: absent,
                again: cursor.again.cycles(resolution: Self.resolution, after: 0)))
    }

    /// The first is killed with two cycles that its sinks have not encoded; the second takes over three
    /// cycles later, the first comes back and takes over again.
    @Test func everyCycleIsHandedOnBySomebody() throws {
        let (first, second, whole) = (World(), World(), World())
        let worlds = [first, second, whole]
        whole.feeder.begin()
        first.feeder.resume(nil)
        for world in worlds { world.feeder.turn() }
        try receive(worlds, 1...8)
        first.recorder.keeps = true
        try receive(worlds, 9...10)
        var progress = SinkProgress(
            nil, oldestCycle: nil, queued: [], resolution: Self.resolution)
        let left = try cursor(of: first, &progress)
        // Cycle 10 has its grace yet.
        #expect(left.through == Self.step(7))
        let encoded = first.recorder.sets("node:a").filter { $0.cycle <= left.through }
        first.recorder.keeps = false
        first.feeder.suspend()
        #expect(second.recorder.taken == [])
        let before = first.recorder.taken.count
        try receive(worlds, 11...13)
        #expect(first.recorder.taken.count == before)

        let repeated = Mutex<[Int64]>([])
        second.recorder.before = { batch in
            if batch.isRepeated { repeated.withLock { $0.append(batch.timestamp) } }
        }
        resume(second, left)
        try receive(worlds, 14...18)
        for world in worlds { world.pass(milliseconds: 1_000, steps: 40) }
        let taken = second.recorder.sets("node:a").map(\.cycle)
        #expect(Set(encoded.map(\.cycle) + taken) == Set((1...18).map(Self.step)))
        #expect(taken.count == 11 && taken.min() == Self.step(8))
        #expect(Set(repeated.withLock { $0 }) == Set((8...12).map(Self.step)))
        // Values, rates and sums are those of a process that was never interrupted.
        let reference = whole.recorder.final.filter { $0.key.hasSuffix(" \(Self.step(9))") }
        #expect(reference.count >= 5)
        for (key, values) in whole.recorder.final where second.recorder.final[key] != nil {
            #expect(second.recorder.final[key] == values, "\(key)")
        }
        for number in 9...18 {
            #expect(second.recorder.final["cluster \(Self.step(number))"] != nil, "\(number)")
        }

        var next = SinkProgress(
            left, oldestCycle: Self.step(1), queued: [], resolution: Self.resolution)
        let back = try cursor(of: second, &next)
        #expect(back.through >= Self.step(18))
        second.feeder.suspend()
        second.feeder.turn()
        resume(first, back)
        try receive(worlds, 19...20)
        for world in worlds { world.pass(milliseconds: 1_000, steps: 10) }
        let again = first.recorder.taken[before...].filter { $0.key == "node:b" }.map(\.cycle)
        #expect(again == [19, 20].map(Self.step))
        #expect(second.recorder.sets("node:b").map(\.cycle).max() == Self.step(18))
    }

    /// A node's late cycles are in hand when the leader dies: they are named, and `through` stays.
    @Test func lateCyclesInHandAreTakenUp() throws {
        let (first, second) = (World(), World())
        first.feeder.resume(nil)
        var progress = SinkProgress(
            nil, oldestCycle: nil, queued: [], resolution: Self.resolution)
        for world in [first, second] { world.feeder.turn() }
        var held: [[[Record]]] = [[], []]
        for number in 1...10 {
            for (index, world) in [first, second].enumerated() {
                world.pass(milliseconds: 1_000, steps: 9)
                try world.receive("a", at: Self.step(number))
                let records = try world.frame("b", at: Self.step(number))
                if (4...6).contains(number) {
                    held[index].append(records)
                } else if number < 4 {
                    try world.receive("b", records)
                }
                world.pass(milliseconds: 1_000)
            }
        }
        #expect(try cursor(of: first, &progress).through == Self.step(9))
        first.recorder.keeps = true
        for (index, world) in [first, second].enumerated() {
            for records in held[index] { try world.receive("b", records) }
            world.pass(milliseconds: 500, steps: 4)
        }
        let left = try cursor(of: first, &progress)
        #expect(left.through >= Self.step(9))
        #expect(left.again.text == "\(Self.step(4))-\(Self.step(6))")
        resume(second, left)
        second.pass(milliseconds: 1_000, steps: 20)
        let late = second.recorder.sets("node:b").map(\.cycle)
        #expect(Set(late) == Set((4...6).map(Self.step)))
        withExtendedLifetime(first) {}
    }

    // MARK: Nodes that a leader never had

    private func progress(_ cursors: SinkCursors? = nil) -> SinkProgress {
        SinkProgress(
            cursors?.sinks["s"], oldestCycle: cursors == nil ? nil : Self.step(0), queued: [],
            resolution: Self.resolution)
    }

    /// The leader stops before a node's newest frame has come to it; the other one has that frame.
    @Test(arguments: [false, true])
    func aNodeThatOnlyTheNextLeaderHasIsHandedOn(needsOrder: Bool) throws {
        let (first, whole) = (World(), World())
        let second = World(CycleFeederTests.Recorder(needsOrder: needsOrder))
        first.feeder.resume(nil)
        whole.feeder.begin()
        for world in [first, second, whole] { world.feeder.turn() }
        try receive([first, second, whole], 1...6)
        for world in [first, second, whole] {
            world.pass(milliseconds: 1_000, steps: 9)
            try world.receive("a", at: Self.step(7))
            world.pass(milliseconds: 1_100)
        }
        var left = progress()
        first.feeder.stop(deadline: .max)
        first.feeder.saveFinally()
        #expect(first.recorder.sets("node:a").last?.cycle == Self.step(7))
        let cursors = try cursors(of: first, &left)
        #expect(cursors.sinks["s"]?.through == Self.step(7))
        #expect(cursors.absent == ["b": CycleRanges([Self.step(7)])])
        for world in [second, whole] { try world.receive("b", at: Self.step(7)) }
        resume(second, try #require(cursors.sinks["s"]), absent: cursors.absent)
        for world in [second, whole] {
            world.pass(milliseconds: 1_000, steps: 60)
        }
        #expect(second.recorder.sets("node:b").map(\.cycle) == [Self.step(7)])
        let before = second.recorder.taken.filter { $0.cycle < Self.step(7) }
        #expect(before == [])
        guard !needsOrder else { return }
        // The sums of that cycle are whole.
        let key = "cluster \(Self.step(7))"
        #expect(whole.recorder.final[key] != nil)
        #expect(second.recorder.final[key] == whole.recorder.final[key])
    }

    /// Nodes reach one aggregator, both or none, late or never, and the Lease goes back and forth with
    /// cursors that are not the newest: what the last leader has was handed on by somebody.
    @Test(arguments: 1...30 as ClosedRange<UInt64>)
    func whatTheLastLeaderHasWasHandedOn(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let worlds = [World(), World()]
        let nodes = ["a", "b", "c"]
        for world in worlds { for node in nodes { world.tell(node) } }
        var isCut = worlds.map { _ in Set<String>() }
        var held: [[String: [[Record]]]] = [[:], [:]]
        var has = worlds.map { _ in Set<String>() }
        var leader = 0
        worlds[0].feeder.resume(nil)
        for world in worlds { world.feeder.turn() }
        var state = progress()
        var newest: SinkCursors?
        for number in 1...60 {
            for (index, world) in worlds.enumerated() {
                world.pass(milliseconds: 1_000, steps: 9)
                for node in nodes {
                    if Int.random(in: 0..<10, using: &random) == 0 {
                        isCut[index].formSymmetricDifference([node])
                    }
                    // Never taken where the agent has been turned off.
                    guard Int.random(in: 0..<12, using: &random) > 0 else { continue }
                    let records = try world.frame(node, at: Self.step(number))
                    held[index][node, default: []].append(records)
                    has[index].insert("\(node) \(number)")
                    guard !isCut[index].contains(node) else { continue }
                    for records in held[index].removeValue(forKey: node) ?? [] {
                        try world.receive(node, records)
                    }
                }
                world.pass(milliseconds: 1_000)
            }
            if Int.random(in: 0..<3, using: &random) == 0, worlds[leader].feeder.progress != nil {
                newest = try cursors(of: worlds[leader], &state)
            }
            guard Int.random(in: 0..<6, using: &random) == 0, let cursors = newest else { continue }
            worlds[leader].feeder.suspend()
            worlds[leader].feeder.turn()
            leader = 1 - leader
            state = progress(cursors)
            resume(worlds[leader], try #require(cursors.sinks["s"]), absent: cursors.absent)
        }
        // All come back to whoever leads.
        for node in nodes {
            for records in held[leader].removeValue(forKey: node) ?? [] {
                try worlds[leader].receive(node, records)
            }
        }
        worlds[leader].pass(milliseconds: 1_000, steps: 60)
        var handed = Set<String>()
        for taken in worlds.flatMap(\.recorder.taken) where taken.key.hasPrefix("node:") {
            let number = (taken.cycle - World.start) / Self.resolution
            handed.insert("\(taken.key.dropFirst(5)) \(number)")
        }
        let lost = has[leader].subtracting(handed)
        #expect(lost == [], "seed \(seed)")
    }

    /// More nodes than there is room for: their cycles go again as a whole.
    @Test func nodesThatCannotAllBeNamedCostTheirCycles() throws {
        let absent = Dictionary(
            uniqueKeysWithValues: (0..<2_000).map {
                ("node-with-a-long-name-\($0)", CycleRanges([Self.step(3), Self.step(5)]))
            })
        #expect(!SinkCursors.canName(absent))
        #expect(SinkCursors.canName(absent.filter { $0.key.hasSuffix("7") }))
        var progress = progress()
        let known = progress.cursor(
            after: CycleCursor(through: Self.step(9), absent: absent), queued: [])
        #expect(known?.again.text == "\(Self.step(3)),\(Self.step(5))")
    }

    // MARK: Progress

    /// Random work against the plain rule: what is not delivered is after `through` or named.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func nothingUndeliveredIsForgotten(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let start: Int64 = 1_767_225_600_000
        let inherited = SinkCursor(
            through: start - 30_000, again: CycleRanges([start - 90_000]))
        var progress = SinkProgress(
            inherited, oldestCycle: start - 200_000, queued: [], resolution: 10_000)
        var (head, last) = (start, inherited.through)
        var queue: [Int64] = [-20_000, -10_000, 0].map { start + $0 }
        var late: [String: Set<Int64>] = ["n": [start - 90_000]]
        for _ in 0..<300 {
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                head += 10_000
                queue.append(head)
            case 2:
                late["n", default: []].insert(
                    head - 10_000 * Int64.random(in: 0...9, using: &random))
            case 3:
                if let cycle = late["n"]?.popFirst() { queue.append(cycle) }
            default:
                for _ in 0..<3 where !queue.isEmpty {
                    queue.remove(at: Int.random(in: 0..<queue.count, using: &random))
                }
            }
            let known = progress.cursor(
                after: CycleCursor(through: head, late: late), queued: Set(queue))
            let cursor = try #require(known)
            #expect(cursor.through >= last, "seed \(seed)")
            last = cursor.through
            for cycle in queue + Array(late["n"] ?? []) where cycle <= cursor.through {
                #expect(cursor.again.contains(cycle), "seed \(seed): \(cycle)")
            }
            #expect(SinkCursors(parsing: SinkCursors(["s": cursor]).text)?.sinks["s"] == cursor)
        }
        queue = []
        let cursor = progress.cursor(after: CycleCursor(through: head), queued: [])
        #expect(cursor == SinkCursor(through: head))
    }

    @Test func aGapThatNobodyCanFillIsNamedUntilSomebodyHasIt() throws {
        let left = SinkCursor(through: 100_000)
        let short = SinkProgress(left, oldestCycle: 150_000, queued: [], resolution: 10_000)
        #expect(short.missingCycleCount == 4)
        var progress = short
        let known = progress.cursor(after: CycleCursor(through: 200_000), queued: [])
        let cursor = try #require(known)
        #expect(cursor.missing.text == "110000-140000" && cursor.through == 200_000)
        // The old leader has it in its queue: it keeps that, and forgets what was delivered since.
        #expect(SinkProgress.wantsQueued(120_000, cursor))
        #expect(!SinkProgress.wantsQueued(160_000, cursor))
        let old = SinkProgress(
            cursor, oldestCycle: 10_000, queued: [110_000, 120_000, 130_000, 140_000],
            resolution: 10_000)
        #expect(old.missingCycleCount == 0)
        #expect(!old.wantsRepeated(150_000) && old.wantsRepeated(210_000))
    }

    // MARK: Text

    @Test func rangesAreBoundedAndNeverLoseACycle() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<200 {
            let cycles = Set(
                (0..<Int.random(in: 1...200, using: &random)).map { _ in
                    Int64.random(in: 0...500, using: &random) * 10
                })
            let ranges = CycleRanges(cycles, resolution: 10)
            #expect(ranges.ranges.count <= CycleRanges.countMax)
            #expect(ranges.cycles(resolution: 10, after: -1).isSuperset(of: cycles))
            #expect(CycleRanges(parsing: ranges.text) == ranges)
            let exact = CycleRanges(cycles.prefix(50), resolution: 10)
            #expect(exact.cycles(resolution: 10, after: -1) == Set(cycles.prefix(50)))
            // The same one by one, with a part taken out and the oldest forgotten.
            var grown = CycleRanges()
            for cycle in cycles.prefix(50) { grown.insert(cycle, resolution: 10) }
            #expect(grown == exact)
            let gone = Set(cycles.prefix(50).filter { $0 % 3 == 0 })
            var left = grown.subtracting(gone, resolution: 10)
            #expect(
                left.cycles(resolution: 10, after: -1) == Set(cycles.prefix(50)).subtracting(gone))
            left.trim(before: 2_000)
            #expect(
                left.cycles(resolution: 10, after: -1)
                    == Set(cycles.prefix(50)).subtracting(gone).filter { $0 >= 2_000 })
        }
    }

    @Test func whatIsNoCursorIsRefused() {
        let text = SinkCursors(
            [
                "kafka": SinkCursor(through: 10),
                "influxdb": SinkCursor(
                    through: 5, again: CycleRanges([1, 3]), missing: CycleRanges([7])),
            ], absent: ["n": CycleRanges([2, 4]), "m": CycleRanges([3])]
        ).text
        #expect(
            text == """
                heapwire-sinks 1
                influxdb 5 again 1,3 missing 7
                kafka 10
                without m 3
                without n 2,4

                """)
        #expect(SinkCursors(parsing: text)?.sinks.count == 2)
        for bad in [
            "", "x", "heapwire-sinks 2\na 1", "heapwire-sinks 1\na", "heapwire-sinks 1\na b",
            "heapwire-sinks 1\na -5", "heapwire-sinks 1\na 1 again",
            "heapwire-sinks 1\na 1 again 5-3",
            "heapwire-sinks 1\na 1 again 5,3", "heapwire-sinks 1\na 1 other 5",
            "heapwire-sinks 1\nwithout n", "heapwire-sinks 1\nwithout n x",
            "heapwire-sinks 1\nwithout n 1 2", "heapwire-sinks 1\na 1 again 1-2-3",
            "heapwire-sinks 1\na 99999999999999999999",
        ] { #expect(SinkCursors(parsing: bad) == nil, "\(bad)") }
    }

    // MARK: Sinks

    private func make(
        _ server: SinkBackendServer, _ leadership: Leadership, folder: String? = nil
    ) throws -> SinkSet {
        let sink = try #require(
            try ConfiguredSink.make("opentsdb:http://127.0.0.1:\(server.port)?timeout=5s"))
        let set = try SinkSet([sink], dataDirectory: folder, leadership: leadership)
        try set.start()
        return set
    }

    @Test func onlyWhoLeadsWrites() throws {
        let server = try SinkBackendServer([.status(204)])
        defer { server.stop() }
        let leadership = Leadership()
        let set = try make(server, leadership)
        let cycles = SinkRun.cycles(6)
        set.offer(SinkRun.batch(cycles[0]))
        #expect(set.statuses[0].isStandby && set.statuses[0].queuedRequests == 0)
        // It leads, but its time is over before it sends.
        #expect(set.resume(SinkCursors(), oldestCycle: nil) == nil)
        set.offer(SinkRun.batch(cycles[1]))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].queuedRequests == 1 })
        #expect(!set.statuses[0].isStandby && server.requests.isEmpty)
        leadership.extend(until: .max)
        set.offer(SinkRun.batch(cycles[2]))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == 2 })
        // What the last leader delivered is not repeated, what it had in hand is.
        set.suspend()
        leadership.extend(until: 0)
        let left = SinkCursor(through: cycles[4], again: CycleRanges([cycles[3]]))
        let joined = set.resume(SinkCursors(["opentsdb": left]), oldestCycle: cycles[0])
        #expect(joined == CycleCursor(through: cycles[4], again: [cycles[3]]))
        leadership.extend(until: .max)
        for cycle in cycles[3...] {
            var batch = SinkRun.batch(cycle)
            batch.isRepeated = true
            set.offer(batch)
        }
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == 4 })
        let cursor = set.cursors(after: CycleCursor(through: cycles[5])).sinks["opentsdb"]
        #expect(cursor == SinkCursor(through: cycles[5]))
        set.stop(timeoutMilliseconds: 5_000)
        #expect(server.requests.count == 4)
    }

    /// Who does not lead ends at once, and leaves its queue on disk.
    @Test func aStandbyKeepsItsQueueAndForgetsWhatWasDelivered() throws {
        let server = try SinkBackendServer([.status(503)])
        defer { server.stop() }
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let leadership = Leadership()
        leadership.extend(until: .max)
        let set = try make(server, leadership, folder: folder.path)
        let cycles = SinkRun.cycles(5)
        _ = set.resume(SinkCursors(), oldestCycle: nil)
        for cycle in cycles { set.offer(SinkRun.batch(cycle)) }
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].queuedRequests == 5 })
        leadership.extend(until: 0)
        set.suspend()
        set.stop(timeoutMilliseconds: 60_000)
        let next = try make(server, leadership, folder: folder.path)
        #expect(next.statuses[0].queuedRequests == 5)
        let left = SinkCursor(
            through: cycles[3], again: CycleRanges([cycles[0]]), missing: CycleRanges([cycles[2]]))
        _ = next.resume(SinkCursors(["opentsdb": left]), oldestCycle: cycles[0])
        #expect(next.statuses[0].queuedRequests == 3)
        let cursor = next.cursors(after: CycleCursor(through: cycles[4])).sinks["opentsdb"]
        #expect(cursor?.through == cycles[3])
        #expect(cursor?.again.contains(cycles[0]) == true && cursor?.missing.isEmpty == true)
        next.stop(timeoutMilliseconds: 0)
    }
}
