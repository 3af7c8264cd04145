import Dispatch
import Glibc
import Synchronization
import Testing
import Wire

@testable import Aggregator

/// A sink that ends while it has more to do than its time suffices for.
@Suite struct SinkStopTests {
    /// Says that it began, and goes on when it may.
    private struct HeldEncoder: SinkEncoder {
        let hasBegun: DispatchSemaphore
        let mayGoOn: DispatchSemaphore

        mutating func begin(cycle: Int64) {
            hasBegun.signal()
            mayGoOn.wait()
        }

        mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
            requests.beginItem()
            requests.bytes.append(UInt8(ascii: "x"))
            requests.endItem()
        }
    }

    /// A backend that is never there.
    private final class NoDelivery: SinkDelivery {
        let endpoints: [SinkEndpoint] = []
        func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
            .failed(reason: "nobody")
        }
        func disconnect() {}
        func probe(deadline: UInt64) -> SinkProbe { .untested(reason: "nobody") }
    }

    private final class Done: Sendable {
        let cycles = Mutex<Set<Int64>>([])
    }

    private static func batch(_ cycle: Int64, _ done: Done) -> RecordedBatch {
        var set = MetricSet()
        set.values = [MetricSample(.memoryUsage, .integer(1))]
        return RecordedBatch(
            timestamp: cycle, sets: [set],
            receipt: BatchReceipt { _ = done.cycles.withLock { $0.insert(cycle) } })
    }

    @Test func whatIsNotEncodedInTimeIsNotDone() throws {
        let (hasBegun, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let done = Done()
        let plan = SinkPlan(
            encoder: HeldEncoder(hasBegun: hasBegun, mayGoOn: mayGoOn), order: .oldestFirst,
            overwrites: false, makeDelivery: { _ in NoDelivery() })
        let runner = SinkRunner(
            plan: plan, settings: SinkRunner.Settings(name: "held"),
            queue: try SinkQueue(limits: SinkQueue.Limits(), order: .oldestFirst, files: nil),
            deadLetters: DeadLetters(files: nil))
        try runner.start()
        for cycle in [Int64(1), 2, 3] { runner.offer(Self.batch(cycle, done)) }
        hasBegun.wait()
        let thread = try SystemThread.start(name: "stop") { runner.stop(deadline: 0) }
        while !runner.isEnding { usleep(1_000) }
        mayGoOn.signal()
        thread.join()
        #expect(done.cycles.withLock { $0 } == [1])
        #expect(runner.currentStatus.queuedRequests == 1)
        withExtendedLifetime(runner) {}
    }
}
