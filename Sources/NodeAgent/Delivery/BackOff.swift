/// How long to wait before the next attempt: twice as long each time, and a random part of that, so
/// that thousands of agents that were cut off together do not come back together ("full jitter").
struct BackOff {
    /// Nanoseconds: the longest wait before the first retry, and before any.
    var base: UInt64 = 200_000_000
    var limit: UInt64 = 5_000_000_000
    /// Attempts since the last success.
    private(set) var attempts = 0
    private var random: SplitMix64

    /// No wait is shorter, nanoseconds.
    static let shortest: UInt64 = 20_000_000

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    /// Nanoseconds to wait now.
    ///
    /// - Parameter atLeast: what the other end has asked for; the random part comes on top.
    mutating func next(atLeast: UInt64 = 0) -> UInt64 {
        let window = min(limit, base << UInt64(min(attempts, 32)))
        attempts += 1
        return max(atLeast &+ UInt64.random(in: 0...window, using: &random), Self.shortest)
    }

    mutating func reset() { attempts = 0 }
}

/// Steele, Lea and Flood's generator: 64 bits of state, good enough to spread agents.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
