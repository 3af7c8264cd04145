/// Plain elements in a flat array that grows, moves and hands out pointers: one element per column
/// or per flag word of every subject.
struct FramePlane<Element: BitwiseCopyable>: ~Copyable {
    private(set) var base: UnsafeMutablePointer<Element>
    private(set) var capacity: Int
    private let zero: Element

    init(zero: Element) {
        self.zero = zero
        base = .allocate(capacity: 1)
        base.initialize(to: zero)
        capacity = 1
    }

    /// The same elements in memory of its own.
    init(copying other: borrowing FramePlane) {
        zero = other.zero
        base = .allocate(capacity: other.capacity)
        base.initialize(from: other.base, count: other.capacity)
        capacity = other.capacity
    }

    deinit { base.deallocate() }

    /// Makes room; new elements are zero. Pointers handed out before are void.
    mutating func grow(to needed: Int) {
        guard needed > capacity else { return }
        // By little, because many nodes have one: the copying is for the beginning of a chain only.
        let grown = max(needed, capacity + capacity / 16)
        let bigger = UnsafeMutablePointer<Element>.allocate(capacity: grown)
        bigger.moveInitialize(from: base, count: capacity)
        (bigger + capacity).initialize(repeating: zero, count: grown - capacity)
        base.deallocate()
        base = bigger
        capacity = grown
    }

    func clear(_ first: Int, _ count: Int) {
        (base + first).update(repeating: zero, count: count)
    }

    /// From front to back, since rows move to the front.
    func move(_ from: Int, _ to: Int, _ count: Int) {
        (base + to).update(from: base + from, count: count)
    }
}
