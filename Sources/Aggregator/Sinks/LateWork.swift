/// A node's cycles on their way to the sinks.
struct LateWork {
    let late: CycleFeed.LateCycles
    /// Whether an earlier process may have handed them on.
    let isRepeated: Bool
    let receipts: [Int64: BatchReceipt]

    /// - Parameter ledger: has each of them as in hand from now on.
    init(_ late: CycleFeed.LateCycles, isRepeated: Bool, in ledger: CycleLedger) {
        self.late = late
        self.isRepeated = isRepeated
        var receipts: [Int64: BatchReceipt] = [:]
        for cycle in late.cycles {
            receipts[cycle] = ledger.open(.part(node: late.node.name, cycle: cycle))
        }
        self.receipts = receipts
    }
}
