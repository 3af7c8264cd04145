import Wire

/// What the model keeps and how it counts time.
struct ModelConfiguration: Sendable {
    /// Milliseconds between cycles, `--metric-resolution`.
    var resolution: Int64 = 10_000
    /// Milliseconds of history in memory.
    var window: Int64 = 15 * 60_000
    var limits = WireLimits()
    /// Chains of one node that can be continued at the same time.
    var openChains = ChainSelection.openMax
    /// Nodes that may be known at once.
    var nodes = 20_000

    /// Milliseconds between two looks at what is too old, which is kept so much longer: a minute, or
    /// a dozen cycles where those are long, for each look costs as much as about twenty frames.
    var trimInterval: Int64 { max(1, min(max(60_000, 12 &* resolution), window / 8)) }

    /// How far a frame may lie in the future, milliseconds: clocks differ, and one node's wrong one
    /// must not hide the others.
    var clockTolerance: Int64 { max(60_000, 3 &* resolution) }

    /// The cycle that a step belongs to: the next whole multiple of the resolution at or after it.
    func cycle(of step: Int64) -> Int64 {
        let remainder = step % resolution
        return remainder == 0 ? step : step &- remainder &+ (remainder > 0 ? resolution : 0)
    }
}
