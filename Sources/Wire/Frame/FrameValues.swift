/// A flat array of values that grows, moves and hands out pointers to its rows.
struct FrameValues: ~Copyable {
    private(set) var base: UnsafeMutablePointer<Int64>
    private(set) var capacity: Int

    init() {
        base = .allocate(capacity: 1)
        base.initialize(to: 0)
        capacity = 1
    }

    /// The same values in memory of its own.
    init(copying other: borrowing FrameValues) {
        base = .allocate(capacity: other.capacity)
        base.initialize(from: other.base, count: other.capacity)
        capacity = other.capacity
    }

    deinit { base.deallocate() }

    /// Makes room; new elements are zero. Rows handed out before are void.
    mutating func grow(to needed: Int) {
        guard needed > capacity else { return }
        let grown = max(needed, capacity + capacity / 2)
        let bigger = UnsafeMutablePointer<Int64>.allocate(capacity: grown)
        bigger.moveInitialize(from: base, count: capacity)
        (bigger + capacity).initialize(repeating: 0, count: grown - capacity)
        base.deallocate()
        base = bigger
        capacity = grown
    }

    subscript(row: FrameLayout.Row) -> UnsafeMutableBufferPointer<Int64> {
        UnsafeMutableBufferPointer(start: base + row.offset, count: row.count)
    }

    func clear(_ row: FrameLayout.Row) { self[row].update(repeating: 0) }

    func move(_ move: FrameLayout.Move) {
        (base + move.to).update(from: base + move.from, count: move.count)
    }
}
