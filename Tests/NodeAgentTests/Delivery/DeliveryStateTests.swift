import Testing
import Wire

@testable import NodeAgent

@Suite struct DeliveryStateTests {
    private func welcome(
        chains: [(UInt64, UInt64)] = [], settled: [ClosedRange<UInt64>] = []
    ) -> Welcome {
        var welcome = Welcome()
        welcome.chains = chains.map { .init(id: $0.0, nextSequence: $0.1) }
        for range in settled {
            welcome.settled.insert(SequenceRange(range.lowerBound, range.upperBound))
        }
        return welcome
    }

    // MARK: What is sent

    @Test func theFirstFrameBeginsAChainAndTheOthersFollow() throws {
        let test = TestOutbox()
        let hello = test.connect()
        #expect(hello.map(\.type) == [.hello])
        #expect(try test.sent() == [])
        try test.take()
        #expect(try test.sent() == ["begin 1", "subjects", "frame 1"])
        try test.take(2)
        #expect(try test.sent() == ["frame 2", "frame 3"])
        test.acknowledge(1, 2)
        #expect(!test.state().isSettled(test.outbox.ring))
        test.acknowledge(3, 3)
        #expect(test.state().isSettled(test.outbox.ring))
    }

    @Test func aShortInterruptionGoesOnInOrder() throws {
        let test = TestOutbox()
        test.connect()
        try test.take(3)
        _ = try test.sent()
        test.disconnect()
        try test.take(2)
        // The acknowledgements were lost, the frames were not.
        test.connect(0, welcome(chains: [(1, 4)], settled: [1...3]))
        #expect(try test.sent() == ["chain 1", "frame 4", "frame 5"])
    }

    @Test func afterALongOutageThePresentComesFirstAndIsNeverBehindThePast() throws {
        let test = TestOutbox(keys: .init(frames: 600, framesWhileAway: 600))
        test.connect()
        try test.take(2)
        _ = try test.sent()
        test.acknowledge(1, 2)
        test.disconnect()
        try test.take(100)
        test.connect(0, welcome(chains: [(1, 3)], settled: [1...2]))
        // No key frame is near the present: one is made with the next sample.
        let first = try test.sent()
        #expect(first == ["chain 1", "frame 3"])
        try test.take()
        let second = try test.sent()
        #expect(second.starts(with: ["begin 103", "subjects", "frame 103", "chain 1"]))
        var next: UInt64 = 104
        var past: [String] = []
        while test.state().nextDeadline ?? .max < test.now + 2 * TestOutbox.second, next < 200 {
            try test.take()
            let step = try test.sent().filter { $0.hasPrefix("frame") }
            #expect(step.first == "frame \(next)", "the present waited")
            past += step.dropFirst()
            next += 1
            test.acknowledge(3, next - 1)
            if step.count == 1 { break }
        }
        #expect(past.last == "frame 102")
        // A sixteenth of a step each: an outage of 100 steps is made up for in 7.
        #expect(next - 104 <= 100 / 16 + 20)
    }

    @Test func theBacklogKeepsToItsRate() throws {
        let test = TestOutbox(keys: .init(frames: 1_000, framesWhileAway: 1_000))
        try test.take(500)
        test.connect()
        var count = 0
        for _ in 0..<100 {
            test.now += TestOutbox.second / 100
            let frames = try test.sent().filter { $0.hasPrefix("frame") }.count
            count += frames
            if frames > 0 { test.acknowledge(1, 500) }
        }
        #expect((16...21).contains(count), "\(count) frames in a second")
    }

    @Test func framesInFlightHoldTheBacklogBack() throws {
        let test = TestOutbox(keys: .init(frames: 1_000, framesWhileAway: 1_000))
        try test.take(500)
        test.connect()
        var count = 0
        for _ in 0..<100 {
            test.now += TestOutbox.second / 20
            count += try test.sent().filter { $0.hasPrefix("frame") }.count
        }
        #expect(count == 64)
        test.acknowledge(1, 10)
        test.now += TestOutbox.second
        #expect(try test.sent().count == 5)
    }

    @Test func aKeyFrameNearThePresentIsWhereItBegins() throws {
        let test = TestOutbox(
            keys: .init(frames: 600, framesWhileAway: 10), catchUpByteCount: 200)
        try test.take(58)
        test.connect()
        let sent = try test.sent()
        #expect(
            sent == [
                "begin 51", "subjects", "frame 51", "frame 52", "frame 53", "frame 54", "frame 55",
                "frame 56", "frame 57", "frame 58", "begin 1", "subjects", "frame 1",
            ], "\(sent)")
    }

    @Test func whatTheAggregatorHasLostIsSentAgain() throws {
        let test = TestOutbox()
        test.connect()
        try test.take(20)
        _ = try test.sent()
        test.acknowledge(1, 20)
        test.disconnect()
        test.connect()
        test.now += TestOutbox.second
        let sent = try test.sent()
        #expect(sent.starts(with: ["begin 1", "subjects", "frame 1", "frame 2"]))
        #expect(!test.state().isSettled(test.outbox.ring))
    }

    @Test func aFrameThatIsThereAlreadyIsSentAgainOnlyToDecodeOthers() throws {
        let test = TestOutbox(catchUpByteCount: 1 << 20)
        test.connect()
        try test.take(10)
        _ = try test.sent()
        test.disconnect()
        // The chain is not open any more, and its last frames are missing.
        test.connect(0, welcome(settled: [1...7]))
        #expect(
            try test.sent()
                == ["begin 1", "subjects"] + (1...10).map { "frame \($0)" })
    }

    @Test func whatTheRingGaveUpIsDeclaredAndCounted() throws {
        let test = TestOutbox(
            ringBytes: 4_096, keys: .init(frames: 600, framesWhileAway: 20),
            catchUpByteCount: 1 << 20)
        test.connect()
        try test.take(3)
        _ = try test.sent()
        test.acknowledge(1, 3)
        test.disconnect()
        try test.take(400)
        let oldest = test.outbox.ring.oldest
        #expect(oldest > 4)
        #expect(test.state().counters.lostFrames == oldest - 4)
        test.connect(0, welcome(chains: [(1, 4)], settled: [1...3]))
        let sent = try test.sent()
        #expect(sent.starts(with: ["begin \(oldest)", "subjects", "frame \(oldest)"]))
        #expect(sent.last == "gap 4-\(oldest - 1)")
        test.acknowledge(4, 403)
        #expect(test.state().isSettled(test.outbox.ring))
        // Declared once is enough.
        test.disconnect()
        test.connect(0, welcome(chains: [(oldest, 404)], settled: [1...403]))
        try test.take()
        #expect(try test.sent() == ["chain \(oldest)", "frame 404"])
    }

    @Test func aConnectionThatTakesTooLittleGetsThePresentAnyway() throws {
        let test = TestOutbox()
        test.connect()
        try test.take()
        _ = try test.sent()
        // Nothing more is taken: the frames wait.
        try test.take(30)
        #expect(test.state().wantsKey(test.outbox.ring) == false, "one was made already")
        let sent = try test.sent()
        let firstBegin = try #require(sent.firstIndex { $0.hasPrefix("begin") })
        #expect(firstBegin == 0, "\(sent)")
        test.acknowledge(1, 31)
        test.now += 4 * TestOutbox.second
        #expect(try test.sent().contains("frame 2") || sent.contains("frame 2"))
    }

    @Test func aDeadAggregatorCostsTheOtherNothing() throws {
        let test = TestOutbox(aggregators: 2)
        test.connect(0)
        for number in 1...50 {
            try test.take()
            _ = test.tick(1)
            if case .connecting = test.state(1).phase { test.disconnect(1) }
            let sent = try test.sent(0)
            #expect(sent.last == "frame \(number)")
            #expect(!sent.contains { $0.hasPrefix("begin") } || number == 1)
            test.acknowledge(UInt64(number), UInt64(number), 0)
            #expect(test.state(0).isSettled(test.outbox.ring))
        }
        // And gets everything when it is back.
        test.connect(1)
        var frames = Set<String>()
        for _ in 0..<20 {
            test.now += TestOutbox.second / 2
            frames.formUnion(try test.sent(1).filter { $0.hasPrefix("frame") })
            test.acknowledge(1, 50, 1)
        }
        #expect(frames.count == 50)
    }

    // MARK: Time

    @Test func aConnectionWithoutWelcomeEnds() {
        let test = TestOutbox()
        #expect(test.tick() == .connect)
        #expect(test.tick() == .nothing)
        var output: [UInt8] = []
        let now = test.now
        let hello = Hello(nodeName: "n", runID: [UInt8](repeating: 1, count: 16))
        test.outbox.withDelivery(0) { state, _ in
            state.connected(hello, now: now, output: &output)
        }
        #expect(test.state().nextDeadline == now + 10 * TestOutbox.second)
        test.now += 10 * TestOutbox.second - 1
        #expect(test.tick() == .nothing)
        test.now += 1
        #expect(test.tick() == .close)
        test.disconnect()
        #expect(test.state().lastEnd == "no welcome within 10s")
    }

    @Test func aConnectionThatDoesNotAnswerFramesEnds() throws {
        let test = TestOutbox()
        test.connect()
        test.now += 100 * TestOutbox.second
        #expect(test.tick() == .nothing, "nothing waits for an answer")
        try test.take()
        _ = try test.sent()
        test.now += 9 * TestOutbox.second
        #expect(test.tick() == .nothing)
        test.now += TestOutbox.second
        #expect(test.tick() == .close)
        test.disconnect()
        #expect(test.state().lastEnd == "nothing was acknowledged for 10s")
    }

    @Test func aRefusalIsToldAndItsWaitIsKept() throws {
        let test = TestOutbox()
        test.connect()
        let farewell = Farewell(.overloaded, "come back later", retryAfterMilliseconds: 7_000)
        test.answer(.reject, farewell.encode())
        #expect(test.tick() == .close)
        test.disconnect()
        #expect(test.state().lastEnd == "refused: come back later (overloaded)")
        let until = try #require(test.state().nextDeadline)
        #expect(until >= test.now + 7 * TestOutbox.second)
        #expect(until <= test.now + 13 * TestOutbox.second)
    }

    @Test(arguments: [Farewell.Code.unauthenticated, .forbidden, .replaced, .unsupportedVersion])
    func whatTimeDoesNotMendIsTriedSeldom(code: Farewell.Code) throws {
        let test = TestOutbox()
        test.connect()
        test.answer(.reject, Farewell(code, "no").encode())
        test.disconnect()
        #expect(try #require(test.state().nextDeadline) >= test.now + 5 * TestOutbox.second)
    }

    @Test func onlyAConnectionThatLastedMakesTheBackOffStartAnew() throws {
        let test = TestOutbox()
        func longestWait() -> UInt64 {
            var longest: UInt64 = 0
            for _ in 0..<8 {
                test.connect()
                test.disconnect()
                longest = max(longest, (test.state().nextDeadline ?? 0) - test.now)
            }
            return longest
        }
        #expect(longestWait() > TestOutbox.second)
        test.connect()
        try test.take()
        _ = try test.sent()
        test.acknowledge(1, 1)
        test.now += 10 * TestOutbox.second
        test.disconnect()
        #expect(try #require(test.state().nextDeadline) <= test.now + 200_000_000)
    }

    // MARK: A peer that cannot be believed

    @Test func whatIsOutOfTurnOrImpossibleEndsTheConnection() throws {
        for (type, payload) in [
            (RecordType.frame, [UInt8]()), (.welcome, Welcome().encode()), (.ack, [9]),
            (.ack, SequenceRange(5, 6).encode()), (.ack, SequenceRange(0, 1).encode()),
        ] {
            let test = TestOutbox()
            test.connect()
            try test.take(3)
            _ = try test.sent()
            test.answer(type, payload)
            #expect(test.tick() == .close, "\(type) \(payload)")
            #expect(test.state().acknowledged.isEmpty)
        }
        let early = TestOutbox()
        #expect(early.tick() == .connect)
        var output: [UInt8] = []
        let now = early.now
        let hello = Hello(nodeName: "n", runID: [UInt8](repeating: 1, count: 16))
        early.outbox.withDelivery(0) { state, _ in
            state.connected(hello, now: now, output: &output)
        }
        early.acknowledge(1, 1)
        #expect(early.tick() == .close)
        var strange = Welcome()
        strange.version = Hello.version + 1
        let version = TestOutbox()
        version.connect(0, strange)
        #expect(version.tick() == .close)
    }

    @Test func aWelcomeOfAnotherWorldIsSurvived() throws {
        // Chains and ranges that this run never had.
        let test = TestOutbox()
        try test.take(5)
        test.connect(
            0, welcome(chains: [(900, 6), (77, 1_000), (3, 4)], settled: [4...4, 90...1_000]))
        _ = try test.sent()
        #expect(!test.state().isSettled(test.outbox.ring))
        test.acknowledge(1, 5)
        try test.take(2)
        let sent = try test.sent()
        #expect(sent.contains("frame 7"))
    }
}
