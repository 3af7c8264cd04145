import Wire

/// One input of the frame decoder's fuzzer: a decoder's beginning, and what it is given then.
///
/// ```
/// beginning: 1 byte; odd: a decoder state's byte length, 2 bytes little-endian, and the state
///            even: an empty decoder
/// then any number of payloads:
///   kind: 1 byte; bit 0: a frame, else a dictionary; bit 1: from here on, use what comes back
///         from the decoder's state
///   byte length, 2 bytes little-endian, and the payload
/// ```
/// Whatever the bytes are, nothing traps, and a decoder of everything, a copy of it, one that went
/// through its state and a reader of one slot agree on the values. That is checked by preconditions,
/// so that the fuzzer sees it.
public struct FrameFuzzInput {
    /// What was accepted and refused.
    public struct Tally: Equatable, Sendable {
        public struct Count: Equatable, Sendable {
            public var accepted = 0
            public var refused = 0

            mutating func add(_ isAccepted: Bool) {
                if isAccepted { accepted += 1 } else { refused += 1 }
            }
        }

        /// Serialised states that an input begins with.
        public var states = Count()
        /// Dictionary payloads that can be read.
        public var dictionaries = Count()
        /// Changes in them that fit what was there.
        public var changes = Count()
        public var frames = Count()
        /// Decoders that went through their state.
        public var continuations = 0

        public init() {}

        public static func += (tally: inout Tally, other: Tally) {
            let pairs: [WritableKeyPath<Tally, Count>] = [
                \.states, \.dictionaries, \.changes, \.frames,
            ]
            for path in pairs {
                tally[keyPath: path].accepted += other[keyPath: path].accepted
                tally[keyPath: path].refused += other[keyPath: path].refused
            }
            tally.continuations += other.continuations
        }
    }

    public enum Kind {
        public static let dictionary: UInt8 = 0
        public static let frame: UInt8 = 1
        /// With either: the state is taken and restored afterwards.
        public static let continued: UInt8 = 2
    }

    /// The slot that the selective reader reads.
    static let wanted: Slot = 9

    private let limits: WireLimits
    private var all: FrameDecoder
    private var some: FrameDecoder
    private var tally = Tally()

    private init() {
        var limits = WireLimits()
        // Small, so that the fuzzer reaches them.
        limits.subjects = 64
        limits.valuesPerFrame = 4_096
        self.limits = limits
        all = FrameDecoder(limits: limits)
        some = FrameDecoder(limits: limits, selective: true)
        some.want(Self.wanted)
    }

    /// Does what an input says.
    public static func run(_ bytes: UnsafeRawBufferPointer) -> Tally {
        var input = FrameFuzzInput()
        input.run(bytes)
        return input.tally
    }

    private mutating func run(_ bytes: UnsafeRawBufferPointer) {
        guard let beginning = bytes.first else { return }
        var rest = UnsafeRawBufferPointer(rebasing: bytes[1...])
        if beginning & 1 != 0 {
            guard rest.count >= 2 else { return }
            guard begin(with: Self.take(&rest)) else { return }
        }
        while rest.count >= 3 {
            let kind = rest[0]
            rest = UnsafeRawBufferPointer(rebasing: rest[1...])
            let payload = Self.take(&rest)
            if kind & Kind.frame == 0 {
                applyDictionary(payload)
            } else {
                decodeFrame(payload)
            }
            if kind & Kind.continued != 0 { continueFromState() }
        }
    }

    /// The length and as many bytes as there are of it.
    private static func take(_ rest: inout UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let length = min(Int(rest[0]) | Int(rest[1]) << 8, rest.count - 2)
        let part = UnsafeRawBufferPointer(rebasing: rest[2..<2 + length])
        rest = UnsafeRawBufferPointer(rebasing: rest[(2 + length)...])
        return part
    }

    /// - Returns: whether the state was accepted.
    private mutating func begin(with state: UnsafeRawBufferPointer) -> Bool {
        let limits = limits
        let outcome = Result { () throws(WireError) in
            try FrameDecoder(state: state, limits: limits)
        }
        guard case .success(let decoder) = outcome else {
            tally.states.add(false)
            return false
        }
        tally.states.add(true)
        all = decoder
        continueFromState()
        some = FrameDecoder(copying: all, wanting: [Self.wanted])
        return true
    }

    /// From here on the decoder is one that was restored: nothing that follows may show it.
    private mutating func continueFromState() {
        let bytes = Self.state(of: all)
        let limits = limits
        let outcome = bytes.withUnsafeBytes { raw in
            Result { () throws(WireError) in try FrameDecoder(state: raw, limits: limits) }
        }
        guard case .success(let restored) = outcome else {
            preconditionFailure("a decoder's own state is refused")
        }
        precondition(Self.state(of: restored) == bytes, "a state changes when it is restored")
        Self.expectSameRows(all, restored)
        all = restored
        tally.continuations += 1
    }

    private static func state(of decoder: FrameDecoder) -> [UInt8] {
        var bytes: [UInt8] = []
        decoder.serialize(into: &bytes)
        return bytes
    }

    private mutating func applyDictionary(_ payload: UnsafeRawBufferPointer) {
        let limits = limits
        let outcome = Result { () throws(WireError) in
            try DictionaryCodec.decode(payload, limits: limits)
        }
        guard case .success(let changes) = outcome else {
            tally.dictionaries.add(false)
            return
        }
        tally.dictionaries.add(true)
        let (all, some) = (all, some)
        for change in changes {
            let one = Result { () throws(WireError) in try all.apply(change) }
            let other = Result { () throws(WireError) in try some.apply(change) }
            precondition(Self.isSuccess(one) == Self.isSuccess(other), "decoders disagree")
            tally.changes.add(Self.isSuccess(one))
        }
    }

    private mutating func decodeFrame(_ payload: UnsafeRawBufferPointer) {
        let (all, some) = (all, some)
        let copy = FrameDecoder(copying: all)
        let wasStale = all.isStale
        let outcome = Result { () throws(WireError) in try all.decode(payload) }
        let again = Result { () throws(WireError) in try copy.decode(payload) }
        precondition(outcome == again, "a copy disagrees")
        tally.frames.add(Self.isSuccess(outcome))
        // A selective reader may take a frame whose other groups are not well formed.
        _ = Result { () throws(WireError) in try some.decode(payload) }
        Self.expectSameRows(all, copy)
        guard !wasStale, !some.isStale else { return }
        for slot in all.layout.liveSlots {
            guard let row = all.row(of: slot), let part = some.row(of: slot) else { continue }
            precondition(part.elementsEqual(row), "a selective decoder differs")
        }
    }

    private static func expectSameRows(_ one: FrameDecoder, _ other: FrameDecoder) {
        for slot in one.layout.liveSlots {
            let (row, same) = (one.row(of: slot), other.row(of: slot))
            precondition((row == nil) == (same == nil), "a copy lacks a row")
            if let row, let same { precondition(row.elementsEqual(same), "a copy differs") }
        }
    }

    private static func isSuccess<Success, Failure>(_ result: Result<Success, Failure>) -> Bool {
        if case .success = result { true } else { false }
    }
}
