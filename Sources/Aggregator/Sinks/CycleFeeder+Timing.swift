extension CycleFeeder {
    /// How long it waits, and for what.
    struct Timing: Sendable {
        /// From a cycle to its batch, milliseconds.
        var grace: Int64
        /// Late data is handed on when no more came for so long, or after its patience.
        var lateQuietNanoseconds: UInt64 = 1_000_000_000
        var latePatienceNanoseconds: UInt64 = 5_000_000_000
        /// Changed sums wait longer, because each piece of late data changes them again.
        var sumsQuietNanoseconds: UInt64 = 3_000_000_000
        var sumsPatienceNanoseconds: UInt64 = 30_000_000_000
        /// How long cycles are held back after a restart, for sinks that need order, while agents
        /// bring what was missed.
        var orderPatienceNanoseconds: UInt64

        /// Agents send within a fifth of a cycle or so.
        init(resolution: Int64) {
            grace = min(2_000, resolution / 2)
            orderPatienceNanoseconds = UInt64(min(30_000, 5_000 + 2 * resolution)) * 1_000_000
        }
    }
}
