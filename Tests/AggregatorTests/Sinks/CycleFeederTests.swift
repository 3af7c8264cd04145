import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// What reaches the sinks of a model that is fed frame by frame, with a clock turned by hand.
@Suite struct CycleFeederTests {
    /// One set that was handed on.
    struct Taken: Equatable {
        var cycle: Int64
        var key: String
        var values: [String: Double]
        var isAmendment: Bool
        var lateness: BatchLateness
    }

    /// Reads every batch at once, and keeps batches alive as a sink that has not encoded them would.
    final class Recorder: BatchTaker, @unchecked Sendable {
        let needsOrder: Bool
        var taken: [Taken] = []
        /// Called with each batch before it is read.
        var before: (any Batch) -> Void = { _ in }
        var keeps = false
        var kept: [any Batch] = []
        /// Lets cycles go unread, as a sink does that is far behind.
        var drops = false

        init(needsOrder: Bool = false) { self.needsOrder = needsOrder }

        func offer(_ batch: any Batch, waitingUntil deadline: UInt64) {
            before(batch)
            if drops, batch.lateness == .onTime { return batch.noteDropped() }
            if keeps { kept.append(batch) }
            batch.forEachSet { (set: borrowing MetricSet) in
                var values: [String: Double] = [:]
                for sample in set.values { values[sample.metric.name] = sample.value.double }
                taken.append(
                    Taken(
                        cycle: batch.timestamp, key: SetKey.text(of: set), values: values,
                        isAmendment: batch.isAmendment, lateness: batch.lateness))
            }
        }

        func sets(_ key: String) -> [Taken] { taken.filter { $0.key == key } }
        /// The last that was said of each set and cycle: what an overwriting backend has.
        var final: [String: [String: Double]] {
            var last: [String: [String: Double]] = [:]
            for set in taken { last["\(set.key) \(set.cycle)"] = set.values }
            return last
        }
    }

    /// A cluster of agents without kernels, and its feeder.
    final class World {
        static let start: Int64 = 1_767_225_600_000
        let clock = ManualClock()
        let cluster: Cluster
        let directory = PodDirectory()
        let recorder: Recorder
        let feeder: CycleFeeder
        private var agents: [String: (agent: SyntheticNode, model: NodeModel)] = [:]
        private let resolution: Int64

        init(
            _ recorder: Recorder = Recorder(), resolution: Int64 = 10_000,
            dataDirectory: String? = nil,
            at now: Int64 = World.start
        ) {
            var configuration = ModelConfiguration()
            configuration.resolution = resolution
            self.resolution = resolution
            cluster = Cluster(configuration: configuration, facts: directory)
            self.recorder = recorder
            let index = ClusterIndex(cluster: cluster, directory: directory)
            clock.advance(nanoseconds: 1_000_000_000_000)
            clock.setRealtime(nanoseconds: UInt64(now) * 1_000_000)
            feeder = CycleFeeder(
                BatchSource(index: index), to: recorder, dataDirectory: dataDirectory,
                clock: .manual(clock))
        }

        func agent(_ name: String) throws -> (agent: SyntheticNode, model: NodeModel) {
            if let known = agents[name] { return known }
            let agent = SyntheticNode(name)
            let entered = cluster.enter(agent.hello, now: World.start)
            let model = try #require(entered?.0)
            _ = model.begin(agent.hello)
            try agent.add(0, Subject(kind: .node), [.cpuUsage, .memoryUsage])
            try agent.add(
                1, Subject(kind: .pod, parent: 0, attributes: [.podUID: "uid-\(name)"]),
                [.memoryUsage, .cpuUsage])
            agents[name] = (agent, model)
            return (agent, model)
        }

        /// Tells the directory of the node's pod, one of a stateful set.
        func name(_ node: String) {
            var parts = Pod.Parts()
            (parts.namespace, parts.name, parts.uid) = (
                "shop", "db-\(node)", ObjectUID("uid-\(node)")
            )
            parts.nodeName = node
            parts.controller = OwnerReference(
                kind: "StatefulSet", name: "db", uid: ObjectUID("owner"))
            directory.apply(.pod(Pod(parts)), now: World.start)
        }

        /// Tells the directory of a node, as the apiserver would.
        func tell(_ node: String) {
            let uid = ObjectUID("node-\(node)")
            directory.apply(.node(Node(name: node, uid: uid)), now: World.start)
        }

        /// A frame whose values follow from its time.
        func frame(_ name: String, at step: Int64, key: Bool = false) throws -> [Record] {
            let agent = try agent(name).agent
            let seconds = (step - World.start) / 1_000
            for slot in [Slot(0), 1] {
                agent.set(slot, .cpuUsage, 1_000_000_000_000 + seconds * seconds * 10_000_000)
                agent.set(slot, .memoryUsage, 1_000_000 + seconds * 1_000 + Int64(slot))
            }
            return agent.frame(step: step, key: key)
        }

        func receive(_ name: String, at step: Int64) throws {
            try agent(name).model.receive(frame(name, at: step))
        }

        func receive(_ name: String, _ records: [Record]) throws {
            try agent(name).model.receive(records)
        }

        /// Moves the clock and lets the feeder do what is due.
        func pass(milliseconds: Int64, steps: Int = 1) {
            for _ in 0..<steps {
                clock.advance(nanoseconds: UInt64(milliseconds) * 1_000_000)
                feeder.turn()
            }
        }
    }

    private static let start = World.start

    @Test func aCycleHasItsOwnValuesThoughFramesWentOn() throws {
        let world = World()
        world.feeder.begin()
        world.feeder.turn()
        for second in 1...35 {
            try world.receive("a", at: Self.start + Int64(second) * 1_000)
            world.pass(milliseconds: 1_000)
        }
        let nodes = world.recorder.sets("node:a")
        #expect(nodes.map(\.cycle) == [10, 20, 30].map { Self.start + $0 * 1_000 })
        #expect(nodes.map { $0.values["memory/usage"] } == [1_010_000, 1_020_000, 1_030_000])
        // (20² - 10²) · 10 ms in 10 s, and (30² - 20²).
        #expect(nodes.map { $0.values["cpu/usage_rate"] } == [nil, 300, 500])
        #expect(nodes.allSatisfy { !$0.isAmendment && $0.lateness == .onTime })
        let cluster = world.recorder.sets("cluster")
        #expect(cluster.map { $0.values["memory/usage"] } == [1_010_001, 1_020_001, 1_030_001])
    }

    @Test func aNodeThatWasCutOffIsHandedOnLaterWithTheSameValues() throws {
        let onTime = World()
        let late = World()
        var held: [[Record]] = []
        for world in [onTime, late] {
            for node in ["a", "b"] { world.name(node) }
            world.feeder.begin()
            world.feeder.turn()
            for number in 1...12 {
                world.pass(milliseconds: 1_000, steps: 10)
                let step = Self.start + Int64(number) * 10_000
                try world.receive("a", at: step)
                let records = try world.frame("b", at: step)
                if world === late, (4...7).contains(number) {
                    held.append(records)
                } else {
                    if number == 8 { for records in held { try world.receive("b", records) } }
                    try world.receive("b", records)
                }
            }
            world.pass(milliseconds: 1_000, steps: 40)
        }
        #expect(late.recorder.final == onTime.recorder.final)
        let parts = late.recorder.sets("node:b").filter { $0.lateness == .outOfOrder }
        #expect(parts.map(\.cycle) == (4...7).map { Self.start + Int64($0) * 10_000 })
        #expect(parts.allSatisfy { !$0.isAmendment && $0.values["cpu/usage_rate"] != nil })
        // The other node is not repeated, the sums are, and say so.
        #expect(late.recorder.sets("node:a").count == 12)
        let sums = late.recorder.sets("cluster").filter(\.isAmendment)
        #expect(sums.map(\.cycle) == (4...7).map { Self.start + Int64($0) * 10_000 })
    }

    @Test func aBacklogOnAChainOfItsOwnHasRatesOverItsGap() throws {
        let world = World()
        world.feeder.begin()
        world.feeder.turn()
        try world.receive("b", at: Self.start + 10_000)
        try world.receive("b", at: Self.start + 20_000)
        var held: [[Record]] = []
        for number in 3...5 {
            held.append(try world.frame("b", at: Self.start + Int64(number) * 10_000))
            world.pass(milliseconds: 1_000, steps: 10)
        }
        // The present first, on a new chain; then what was missed on the old one.
        let fresh = try world.frame("b", at: Self.start + 60_000, key: true)
        try world.receive("b", fresh)
        world.pass(milliseconds: 1_000, steps: 33)
        let model = try world.agent("b").model
        try model.select(1, begins: false)
        for records in held { try world.receive("b", records.filter { $0.type == .frame }) }
        world.pass(milliseconds: 1_000, steps: 40)
        let rates = world.recorder.sets("node:b").filter { $0.lateness == .outOfOrder }
        // The first of the present had its rate over the gap; it comes once more with its own.
        #expect(rates.map(\.cycle) == (3...6).map { Self.start + $0 * 10_000 })
        #expect(rates.map { $0.values["cpu/usage_rate"] } == [500, 700, 900, 1_100])
        #expect(rates.map(\.isAmendment) == [false, false, false, true])
        // It is once in the sums, with its own rates too.
        let sums = try #require(world.recorder.final["cluster \(Self.start + 60_000)"])
        #expect(sums["memory/usage"] == 1_060_001)
        #expect(sums["cpu/usage_rate"] == 1_100)
        #expect(world.recorder.final["namespace:_unknown \(Self.start + 60_000)"] == sums)
    }

    /// ```
    ///  feeder                 node b
    ///  offers cycle 1
    ///                         closes cycle 1
    ///  sink reads cycle 1
    /// ```
    @Test func aNodeThatComesWhileABatchIsReadIsHandedOnOnce() throws {
        let world = World()
        world.feeder.begin()
        world.feeder.turn()
        try world.receive("a", at: Self.start + 10_000)
        var isFirst = true
        world.recorder.before = { _ in
            guard isFirst else { return }
            isFirst = false
            #expect(throws: Never.self) { try world.receive("b", at: Self.start + 10_000) }
        }
        world.pass(milliseconds: 1_000, steps: 50)
        #expect(world.recorder.sets("node:a").count == 1)
        #expect(world.recorder.sets("node:b").map(\.lateness) == [.outOfOrder])
        #expect(
            world.recorder.final["cluster \(Self.start + 10_000)"]?["memory/usage"] == 2_020_002)
    }

    /// Two copies are kept, so the first of four cycles is gone by the time it is read: it is handed on
    /// from the history, with the values and sums that it had.
    @Test func aNodeThatASinkMissedIsHandedOnLater() throws {
        let (world, punctual) = (World(), World())
        for world in [world, punctual] {
            world.feeder.begin()
            world.feeder.turn()
        }
        world.recorder.before = { batch in
            guard batch.timestamp == Self.start + 10_000, batch.lateness == .onTime else { return }
            for number in 2...4 {
                #expect(throws: Never.self) {
                    try world.receive("a", at: Self.start + Int64(number) * 10_000)
                }
            }
        }
        for world in [world, punctual] { try world.receive("a", at: Self.start + 10_000) }
        for number in 2...4 {
            punctual.pass(milliseconds: 1_000, steps: 10)
            try punctual.receive("a", at: Self.start + Int64(number) * 10_000)
        }
        punctual.pass(milliseconds: 1_000, steps: 30)
        world.pass(milliseconds: 1_000, steps: 60)
        #expect(world.feeder.source.missedNodes == 1 && world.feeder.source.lostNodes == 0)
        let late = world.recorder.sets("node:a").filter { $0.lateness == .outOfOrder }
        #expect(late.map(\.cycle) == [Self.start + 10_000] && late.first?.isAmendment == false)
        #expect(world.recorder.final.count >= 8)
        #expect(world.recorder.final == punctual.recorder.final)
    }

    @Test func aCycleThatASinkLetGoUnreadIsHandedOnLater() throws {
        let (world, punctual) = (World(), World())
        for world in [world, punctual] {
            world.feeder.begin()
            world.feeder.turn()
            for number in 1...5 {
                world.recorder.drops = world !== punctual && (2...3).contains(number)
                world.pass(milliseconds: 1_000, steps: 7)
                for node in ["a", "b"] {
                    try world.receive(node, at: Self.start + Int64(number) * 10_000)
                }
                world.pass(milliseconds: 1_000, steps: 3)
            }
            world.recorder.drops = false
            world.pass(milliseconds: 1_000, steps: 20)
        }
        let late = world.recorder.sets("node:b").filter { $0.lateness == .outOfOrder }
        // Their turns came in the time of the next ones.
        #expect(Set(late.map(\.cycle)) == [Self.start + 10_000, Self.start + 20_000])
        #expect(late.allSatisfy { !$0.isAmendment })
        #expect(world.recorder.final == punctual.recorder.final)
        #expect(world.feeder.source.lostNodes == 0)
    }

    /// What another sink had in time goes once more, as an amendment, and is in the sums once.
    @Test func aNodeThatOneOfTwoSinksMissedIsAmended() throws {
        let world = World()
        world.feeder.begin()
        world.feeder.turn()
        let cycle = Self.start + 10_000
        try world.receive("a", at: cycle)
        world.pass(milliseconds: 1_000, steps: 13)
        let before = world.recorder.final
        let (model, source) = (try world.agent("a").model, world.feeder.source)
        source.noteMissed(model, at: cycle, isInSums: true)
        world.pass(milliseconds: 1_000, steps: 10)
        let again = world.recorder.sets("node:a")
        #expect(again.map(\.isAmendment) == [false, true] && again.map(\.cycle) == [cycle, cycle])
        #expect(world.recorder.final == before)
        // No more than can be read again.
        for number in 0...CycleFeed.missedCountMax {
            source.noteMissed(model, at: cycle - Int64(number) * 10_000, isInSums: false)
        }
        #expect(source.lostNodes == 1)
    }

    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-feeder-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("sinks"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    /// A process is killed while sinks have batches that they did not encode. The next one, whose model
    /// was restored, hands on exactly those and what was closed meanwhile.
    @Test(arguments: [false, true])
    func anotherProcessGoesOnWhereOneWasKilled(needsOrder: Bool) throws {
        try Self.withFolder { folder in
            let steps = (1...20).map { Self.start + Int64($0) * 10_000 }
            let first = World(dataDirectory: folder)
            first.feeder.begin()
            first.feeder.turn()
            first.pass(milliseconds: 1_000, steps: 10)
            for (index, step) in steps.prefix(10).enumerated() {
                first.recorder.keeps = index >= 7
                // It comes at its time, and its grace is over two seconds later.
                try first.receive("a", at: step)
                first.pass(milliseconds: 1_000, steps: 10)
            }
            #expect(first.recorder.sets("node:a").map(\.cycle) == Array(steps.prefix(10)))
            // Killed: what it kept was never encoded. The cursor was written before.
            let cursor = try #require(CycleCursor.read("\(folder)/sinks/cursor"))
            #expect(cursor.through == steps[6])

            let second = World(
                Recorder(needsOrder: needsOrder), dataDirectory: folder, at: steps[14] + 500)
            for step in steps.prefix(15) { try second.receive("a", at: step) }
            second.feeder.begin()
            for step in steps[15...] {
                second.pass(milliseconds: 1_000, steps: 9)
                try second.receive("a", at: step)
                second.pass(milliseconds: 1_000)
            }
            second.pass(milliseconds: 1_000, steps: 10)
            let taken = second.recorder.sets("node:a")
            #expect(Set(taken.map(\.cycle)) == Set(steps[7...]))
            #expect(taken.count == 13)
            #expect(
                taken.allSatisfy {
                    $0.values["memory/usage"] == 1_000_000 + Double($0.cycle - Self.start)
                })
            if needsOrder { #expect(taken.map(\.cycle) == Array(steps[7...])) }
            withExtendedLifetime(first) {}
        }
    }

    /// A node's late frame is in the log, and the process is killed before the cursor says so.
    @Test func whatCameBehindTheLastCursorIsHandedOn() throws {
        try Self.withFolder { folder in
            let steps = (1...4).map { Self.start + Int64($0) * 10_000 }
            let first = World(dataDirectory: folder)
            first.feeder.begin()
            first.feeder.turn()
            for step in steps {
                first.pass(milliseconds: 1_000, steps: 10)
                try first.receive("a", at: step)
                if step < steps[3] { try first.receive("b", at: step) }
            }
            first.pass(milliseconds: 1_000, steps: 3)
            let cursor = try #require(CycleCursor.read("\(folder)/sinks/cursor"))
            #expect(cursor.through == steps[3])
            #expect(cursor.absent == ["b": CycleRanges([steps[3]])])

            let second = World(dataDirectory: folder, at: steps[3] + 5_000)
            for step in steps { for node in ["a", "b"] { try second.receive(node, at: step) } }
            second.feeder.begin()
            second.pass(milliseconds: 1_000, steps: 8)
            #expect(second.recorder.sets("node:b").map(\.cycle) == [steps[3]])
            // The rest of that cycle with it, for its sums.
            #expect(second.recorder.sets("node:a").map(\.cycle) == [steps[3]])
            let sums = try #require(second.recorder.sets("cluster").last)
            #expect(sums.cycle == steps[3])
            #expect(sums.values["memory/usage"] == 2_080_002)
        }
    }

    @Test func stoppingHandsOnWhatIsClosedAndTheNextProcessRepeatsNothing() throws {
        try Self.withFolder { folder in
            let world = World(dataDirectory: folder)
            world.feeder.begin()
            world.feeder.turn()
            try world.receive("a", at: Self.start + 10_000)
            world.clock.advance(nanoseconds: 10_100_000_000)
            world.feeder.stop(deadline: .max)
            world.feeder.saveFinally()
            #expect(world.recorder.sets("node:a").map(\.cycle) == [Self.start + 10_000])
            let next = World(dataDirectory: folder, at: Self.start + 15_000)
            try next.receive("a", at: Self.start + 10_000)
            next.feeder.begin()
            next.pass(milliseconds: 1_000, steps: 4)
            #expect(next.recorder.taken == [])
        }
    }
}

@Suite struct CycleCursorTests {
    private let cursor = CycleCursor(
        through: 1_795_248_080_000,
        late: ["node-a": [1_795_248_000_000, 1_795_248_010_000], "node-b": [5]],
        sums: [1_795_248_000_000],
        absent: ["node-c": CycleRanges([7, 9]), "node-d": CycleRanges([9])])

    @Test func whatIsWrittenIsRead() {
        #expect(CycleCursor(parsing: cursor.text) == cursor)
        let plain = CycleCursor(through: -7)
        #expect(CycleCursor(parsing: plain.text) == plain)
    }

    @Test func truncationAtEveryByteIsSeen() {
        let bytes = cursor.text
        for count in bytes.indices { #expect(CycleCursor(parsing: Array(bytes[..<count])) == nil) }
    }

    @Test func everyFlippedBitIsSeen() {
        let bytes = cursor.text
        for index in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[index] ^= 1 << bit
                let read = CycleCursor(parsing: damaged)
                // The case of a checksum's hexadecimal digit says nothing.
                #expect(read == nil || read == cursor, "byte \(index) bit \(bit)")
            }
        }
    }

    @Test func randomBytesAreNoCursor() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            #expect(CycleCursor(parsing: bytes) == nil)
        }
    }
}
