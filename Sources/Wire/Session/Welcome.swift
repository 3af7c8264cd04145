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
    /// The frames of this run that are settled: kept here, or declared lost. They need not be sent,
    /// except where a chain that begins again needs them to be decoded; then they are not kept twice.
    /// When there are more than `rangeLimit` ranges, the newest.
    public var settled = SequenceSet()
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
    /// Ranges of settled frames that a welcome can list.
    public static let rangeLimit = 256

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
        for range in settled.ranges.suffix(Welcome.rangeLimit) {
            fields.put(7, bytes: range.encode())
        }
        return fields.bytes
    }

    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var welcome = Welcome()
        welcome.version = 0
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
            case 7:
                welcome.settled.insert(try SequenceRange(decoding: value.bytes))
                guard welcome.settled.ranges.count <= Welcome.rangeLimit else {
                    throw .limitExceeded(
                        what: "settled ranges", actual: welcome.settled.ranges.count,
                        limit: Welcome.rangeLimit)
                }
            default: break
            }
        }
        self = welcome
    }
}
