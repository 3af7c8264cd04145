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
