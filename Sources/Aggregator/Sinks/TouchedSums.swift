/// Cycles whose sums what came late has changed, until they are handed on once more.
struct TouchedSums {
    struct Touch {
        let receipt: BatchReceipt
        /// Whether only repeated parts have changed them.
        var isRepeated: Bool
    }

    private var cycles: [Int64: Touch] = [:]
    /// Monotonic nanoseconds.
    private var first: UInt64 = 0
    private var last: UInt64 = 0

    /// - Parameters:
    ///   - now: monotonic nanoseconds.
    ///   - ledger: has them as in hand from now on.
    mutating func insert(_ cycle: Int64, isRepeated: Bool, now: UInt64, in ledger: CycleLedger) {
        if cycles.isEmpty { first = now }
        last = now
        if cycles[cycle] == nil {
            cycles[cycle] = Touch(receipt: ledger.open(.sums(cycle)), isRepeated: isRepeated)
        } else if !isRepeated {
            cycles[cycle]?.isRepeated = false
        }
    }

    /// Whether there are any, and none was touched for so long.
    func isQuiet(for nanoseconds: UInt64, now: UInt64) -> Bool {
        !cycles.isEmpty && now >= last + nanoseconds
    }

    /// Whether the first of them waits for so long.
    func hasWaited(for nanoseconds: UInt64, now: UInt64) -> Bool {
        !cycles.isEmpty && now >= first + nanoseconds
    }

    /// In the order of time.
    mutating func removeAll() -> [(cycle: Int64, touch: Touch)] {
        defer { cycles = [:] }
        return cycles.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
