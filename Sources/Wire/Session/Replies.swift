/// A chain's number within an agent run: the sequence of its first frame, which is a key frame.
///
/// A chain is a run of frames of which each needs the one before it. After an outage the agent begins
/// a new one with the present, and sends the rest of the old one beside it.
public typealias ChainID = UInt64

/// The aggregator's answer to a hello.
public struct Welcome: Sendable, Equatable {
    public var version: UInt8 = Hello.version
    /// The chains of this run that the aggregator can continue. Any other chain has to begin again.
    public var chains: [OpenChain] = []
    /// The resolution at which the aggregator closes cycles, milliseconds.
    public var resolutionMilliseconds: UInt64 = 0
    /// The aggregator's clock when this was sent, milliseconds since the epoch.
    public var clockMilliseconds: UInt64 = 0
    /// Payload bytes that the aggregator takes in one record.
    public var recordBytes: UInt64 = 0
    /// Live subjects that it takes.
    public var subjects: UInt64 = 0

    /// A chain and the frame of it that is wanted next.
    public struct OpenChain: Sendable, Equatable {
        public var id: ChainID
        public var nextSequence: UInt64

        public init(id: ChainID, nextSequence: UInt64) {
            self.id = id
            self.nextSequence = nextSequence
        }
    }

    /// Chains that a welcome can list.
    public static let chainLimit = 64

    public init() {}

    public func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        fields.put(1, integer: UInt64(version))
        for chain in chains {
            var bytes: [UInt8] = []
            Varint.append(chain.id, to: &bytes)
            Varint.append(chain.nextSequence, to: &bytes)
            fields.put(2, bytes: bytes)
        }
        fields.put(3, integer: resolutionMilliseconds)
        fields.put(4, integer: clockMilliseconds)
        fields.put(5, integer: recordBytes)
        fields.put(6, integer: subjects)
        return fields.bytes
    }

    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var welcome = Welcome()
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            switch tag {
            case 1: welcome.version = UInt8(clamping: try value.integer())
            case 2:
                var reader = ByteReader(value.bytes)
                let chain = OpenChain(id: try reader.varint(), nextSequence: try reader.varint())
                guard welcome.chains.count < Welcome.chainLimit else {
                    throw .limitExceeded(
                        what: "open chains", actual: welcome.chains.count + 1,
                        limit: Welcome.chainLimit)
                }
                welcome.chains.append(chain)
            case 3: welcome.resolutionMilliseconds = try value.integer()
            case 4: welcome.clockMilliseconds = try value.integer()
            case 5: welcome.recordBytes = try value.integer()
            case 6: welcome.subjects = try value.integer()
            default: break
            }
        }
        self = welcome
    }
}

/// A range of frames: what an ack has kept, or what a gap has lost.
public struct SequenceRange: Sendable, Equatable {
    public var first: UInt64
    public var last: UInt64

    /// - Precondition: `first <= last`.
    public init(_ first: UInt64, _ last: UInt64) {
        precondition(first <= last, "sequence range \(first)...\(last)")
        self.first = first
        self.last = last
    }

    /// Two varints: the last, and how many come before it.
    public func encode() -> [UInt8] {
        var bytes: [UInt8] = []
        Varint.append(last, to: &bytes)
        Varint.append(last - first, to: &bytes)
        return bytes
    }

    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var reader = ByteReader(payload)
        let last = try reader.varint()
        let before = try reader.varint()
        guard reader.isAtEnd, before <= last else {
            throw .malformed(what: "sequence range", offset: reader.offset)
        }
        self.init(last - before, last)
    }
}

/// Why a connection ends, with words for the log of the other end.
public struct Farewell: Sendable, Equatable {
    public var code: Code
    /// What happened and what to do about it.
    public var words: String
    /// How long to wait before another try; 0 leaves it to the agent's back-off.
    public var retryAfterMilliseconds: UInt64

    /// Raw values are on the wire.
    public enum Code: UInt64, Sendable, CaseIterable {
        case unknown = 0
        /// An orderly end: the other end stops or restarts.
        case shutdown = 1
        case unsupportedVersion = 2
        case unauthenticated = 3
        /// Authenticated, but not for this node.
        case forbidden = 4
        case malformed = 5
        case limitExceeded = 6
        /// Another connection speaks for this node now.
        case replaced = 7
        case overloaded = 8
        /// The frame cannot be decoded from what the aggregator has; begin with a key frame.
        case needsKeyFrame = 9
        case timeout = 10
    }

    public init(_ code: Code, _ words: String, retryAfterMilliseconds: UInt64 = 0) {
        self.code = code
        self.words = words
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }

    public func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        fields.put(1, integer: code.rawValue)
        fields.put(2, text: words)
        fields.put(3, integer: retryAfterMilliseconds)
        return fields.bytes
    }

    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var farewell = Farewell(.unknown, "")
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            switch tag {
            case 1: farewell.code = Code(rawValue: try value.integer()) ?? .unknown
            case 2: farewell.words = try value.text(limit: 4_096)
            case 3: farewell.retryAfterMilliseconds = try value.integer()
            default: break
            }
        }
        self = farewell
    }
}
