import Foundation
import Glibc
import Testing
import Wire

@testable import Aggregator

/// Several sinks that read one cycle.
@Suite struct CycleReadingTests {
    typealias World = CycleFeederTests.World
    /// More than the window, so that it moves.
    private static let nodeCount = 3 * CycleReading.windowCount

    /// What each reader saw, in its order.
    private final class Seen: @unchecked Sendable {
        private let lock = Lock()
        private var sets: [Int: [MetricSet]] = [:]
        func add(_ set: MetricSet, _ reader: Int) {
            lock.withLock { sets[reader, default: []].append(set) }
        }
        func all(_ reader: Int) -> [MetricSet] { lock.withLock { sets[reader] ?? [] } }
    }

    /// Closes a cycle of many nodes and hands its batch to `body`.
    private func withBatch(
        resolution: Int64 = 10_000, _ body: @escaping (any Batch, World) -> Void
    ) throws {
        let world = World(resolution: resolution)
        world.feeder.begin()
        world.feeder.turn()
        for number in 0..<Self.nodeCount {
            if number % 3 == 0 { world.name("n\(number)") }
            try world.receive("n\(number)", at: World.start + resolution)
        }
        var count = 0
        world.recorder.before = { batch in
            count += 1
            body(batch, world)
        }
        world.pass(milliseconds: 1_000, steps: 14)
        #expect(count == 1)
    }

    private func readers(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
        var threads: [SystemThread] = []
        for number in 0..<count {
            threads.append(try SystemThread.start(name: "reader") { body(number) })
        }
        for thread in threads { thread.join() }
    }

    @Test func readersAtTheSameTimeSeeWhatOneAloneSees() throws {
        let seen = Seen()
        try withBatch { batch, world in
            do {
                try self.readers(4) { number in
                    batch.forEachSet { (set: borrowing MetricSet) in seen.add(copy set, number) }
                }
            } catch {
                Issue.record(error)
            }
            // Alone, and after the others.
            batch.forEachSet { (set: borrowing MetricSet) in seen.add(copy set, 9) }
            #expect(world.feeder.source.missedNodes == 0)
        }
        let alone = seen.all(9)
        #expect(alone.count > 2 * Self.nodeCount && alone.last?.kind == .cluster)
        #expect(alone.last?.value(.memoryUsage) != nil)
        for reader in 0..<4 { #expect(seen.all(reader) == alone, "reader \(reader)") }
    }

    /// ```
    ///  fast                          slow
    ///                                reads its first set, stands still
    ///  waits for it, gives up,
    ///  reads everything
    ///                                goes on, reads everything
    /// ```
    @Test func oneThatStandsStillHoldsNobodyForEverAndMissesNothing() throws {
        let seen = Seen()
        let isDone = DispatchSemaphore(value: 0)
        let hasBegun = DispatchSemaphore(value: 0)
        try withBatch(resolution: 1_000) { batch, world in
            do {
                try self.readers(2) { number in
                    let isSlow = number == 0
                    if !isSlow { hasBegun.wait() }
                    var isFirst = true
                    batch.forEachSet { (set: borrowing MetricSet) in
                        if isSlow, isFirst {
                            isFirst = false
                            hasBegun.signal()
                            isDone.wait()
                        }
                        seen.add(copy set, number)
                    }
                    if !isSlow { isDone.signal() }
                }
            } catch {
                Issue.record(error)
            }
            // All but the first, which it was reading when it stood still.
            #expect(
                world.feeder.source.nodesMadeAgain >= Self.nodeCount - CycleReading.windowCount - 1)
        }
        #expect(seen.all(0) == seen.all(1))
        #expect(seen.all(1).count > 2 * Self.nodeCount)
    }

    @Test func oneReaderMakesEachNodeOnce() throws {
        try withBatch { batch, world in
            var count = 0
            batch.forEachSet { (_: borrowing MetricSet) in count += 1 }
            #expect(count > 2 * Self.nodeCount)
            #expect(world.feeder.source.nodesMadeAgain == 0)
        }
    }
}
