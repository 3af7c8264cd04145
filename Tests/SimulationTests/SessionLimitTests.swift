import Testing
import Wire

@testable import Aggregator

/// What one connection may cost, each limit from both sides.
@Suite struct SessionLimitTests {
    private static func limits() -> WireLimits {
        var limits = WireLimits()
        limits.recordBytes = 8_192
        limits.subjects = 10
        limits.dictionaryBytes = 2_000
        limits.fieldsPerSchema = 64
        limits.valuesPerFrame = 400
        return limits
    }

    /// A session that has said hello, and what it answers.
    private struct Speaker {
        var session: IngestSession
        var output: [UInt8] = []

        init(hello: Bool = true) {
            var configuration = ModelConfiguration()
            configuration.limits = SessionLimitTests.limits()
            session = IngestSession(
                cluster: Cluster(configuration: configuration) { _ in nil },
                authentication: AgentAuthentication(), counters: IngestCounters())
            guard hello else { return }
            var bytes = Hello.preface
            let hello = Hello(nodeName: "n", runID: [UInt8](repeating: 3, count: 16))
            Record(type: .hello, payload: hello.encode()).encode(into: &bytes)
            say(bytes)
        }

        mutating func say(_ bytes: [UInt8]) {
            let consumed = bytes.withUnsafeBytes {
                session.receive($0, now: 1_000_000, output: &output)
            }
            precondition(consumed <= bytes.count)
        }

        /// A chain's dictionary and first frame, as an encoder of no limits makes them.
        mutating func sendKeyFrame(_ changes: [SubjectChange]) throws {
            var limits = WireLimits()
            limits.dictionaryBytes = 64 << 20
            let encoder = FrameEncoder(limits: limits)
            var bytes: [UInt8] = []
            ChainSelection(id: 1, begins: true).encode(into: &bytes)
            for change in changes {
                try encoder.apply(change)
                var payload: [UInt8] = []
                DictionaryCodec.encode(change, into: &payload)
                Record(type: .subjects, payload: payload).encode(into: &bytes)
            }
            var payload: [UInt8] = []
            encoder.encode(
                FrameHeader(
                    sequence: 1, stepMilliseconds: 1_000_000, readDelayMilliseconds: 0, isKey: true),
                into: &payload)
            Record(type: .frame, payload: payload).encode(into: &bytes)
            say(bytes)
        }

        var refusal: Farewell.Code? { session.refusal?.code }
    }

    private static func schema(_ fields: Int) -> SubjectChange {
        .schema(0, Schema((0..<fields).map { SchemaField(metric: UInt16($0), granularity: 1) }))
    }

    private static func subject(_ slot: Int, name: String = "c") -> SubjectChange {
        .add(
            Slot(slot), 0,
            Subject(
                kind: slot == 0 ? .node : .container, parent: slot == 0 ? nil : 0,
                attributes: [.name: name]))
    }

    /// A length is refused when it is read, before what it announces is there.
    @Test func aRecordMayBeSoLongAndNoLonger() {
        func announce(_ length: Int, hello: Bool) -> Farewell.Code? {
            var speaker = Speaker(hello: hello)
            var bytes = hello ? [] : Hello.preface
            Varint.append(UInt64(length), to: &bytes)
            speaker.say(bytes)
            return speaker.refusal
        }
        #expect(announce(8_192, hello: true) == nil)
        #expect(announce(8_193, hello: true) == .limitExceeded)
        #expect(announce(65_536, hello: false) == nil)
        #expect(announce(65_537, hello: false) == .limitExceeded)
    }

    @Test(arguments: [(10, nil), (11, Farewell.Code.limitExceeded)])
    func aNodeMayHaveSoManySubjects(count: Int, expected: Farewell.Code?) throws {
        var speaker = Speaker()
        try speaker.sendKeyFrame([Self.schema(2)] + (0..<count).map { Self.subject($0) })
        #expect(speaker.refusal == expected)
    }

    @Test(arguments: [(64, nil), (65, Farewell.Code.limitExceeded)])
    func aSchemaMayHaveSoManyFields(count: Int, expected: Farewell.Code?) throws {
        var speaker = Speaker()
        try speaker.sendKeyFrame([Self.schema(count), Self.subject(0)])
        #expect(speaker.refusal == expected)
    }

    /// A frame of few bytes stands for many values: their number is what its decoding costs.
    @Test(arguments: [(8, nil), (9, Farewell.Code.limitExceeded)])
    func aFrameMayHaveSoManyValues(subjects: Int, expected: Farewell.Code?) throws {
        var speaker = Speaker()
        try speaker.sendKeyFrame([Self.schema(50)] + (0..<subjects).map { Self.subject($0) })
        #expect(speaker.refusal == expected)
    }

    @Test func namesMayTakeSoManyBytes() throws {
        let name = String(repeating: "x", count: 390)
        var speaker = Speaker()
        try speaker.sendKeyFrame([Self.schema(1)] + (0..<4).map { Self.subject($0, name: name) })
        #expect(speaker.refusal == nil)
        var other = Speaker()
        try other.sendKeyFrame([Self.schema(1)] + (0..<6).map { Self.subject($0, name: name) })
        #expect(other.refusal == .limitExceeded)
    }

    /// Changes wait for the frame from which on they hold; without one there is an end to that too.
    @Test func changesWithoutAFrameMayTakeSoManyBytes() {
        var speaker = Speaker()
        var bytes: [UInt8] = []
        ChainSelection(id: 1, begins: true).encode(into: &bytes)
        speaker.say(bytes)
        var payload: [UInt8] = []
        DictionaryCodec.encode(
            Self.subject(1, name: String(repeating: "y", count: 300)), into: &payload)
        bytes = []
        Record(type: .subjects, payload: payload).encode(into: &bytes)
        var said = 0
        while speaker.refusal == nil, said < 1_000_000 {
            speaker.say(bytes)
            said += payload.count
        }
        #expect(speaker.refusal == .limitExceeded)
        let limits = Self.limits()
        #expect(said <= 2 * (limits.dictionaryBytes + limits.subjects * 16) + payload.count)
    }
}
