/// A live subject as the hot loops want it, in 32 bytes.
struct LiveRow: BitwiseCopyable {
    let slot: Slot
    /// Index of its first value.
    private let offset32: UInt32
    private let firstWord32: UInt32
    private let count16: UInt16
    let schema: SchemaNumber
    let tables: UnsafeMutablePointer<SchemaPlan.Tables>
    /// Index of the fresh subject of the same schema that it is predicted from, or -1.
    var model: Int32 = -1
    /// Columns changed in the frame at hand, not counting those that changed as predicted.
    var isFlagged = false
    /// The frame at hand is its first one.
    var isFresh = false
    /// For the encoder: some value is not the last frame's, or in a first frame the model's.
    var isChanged = false

    init(slot: Slot, _ row: FrameLayout.Row, _ plan: SchemaPlan) {
        self.slot = slot
        schema = row.schema
        offset32 = UInt32(row.offset)
        firstWord32 = UInt32(row.firstWord)
        count16 = UInt16(row.count)
        tables = plan.tables
    }

    @inline(__always) var offset: Int { Int(truncatingIfNeeded: offset32) }
    @inline(__always) var firstWord: Int { Int(truncatingIfNeeded: firstWord32) }
    @inline(__always) var count: Int { Int(truncatingIfNeeded: count16) }
    @inline(__always) var wordCount: Int { (count &+ 63) &>> 6 }

    /// A reader passes over subjects in groups of so many slots.
    static let groupSlots = 8

    @inline(__always)
    var group: UInt32 { slot &>> 3 }
}

/// The live subjects in the order of their slots, which is their order within a frame.
struct LiveRows: ~Copyable {
    private(set) var base: UnsafeMutablePointer<LiveRow>
    private(set) var count = 0
    private var capacity = 1

    init() { base = .allocate(capacity: capacity) }

    deinit { base.deallocate() }

    /// Removes all and makes room for as many as there will be, and not for more.
    mutating func removeAll(reserving needed: Int) {
        count = 0
        guard needed > capacity || needed < capacity / 2 else { return }
        base.deallocate()
        capacity = max(needed, 1)
        base = .allocate(capacity: capacity)
    }

    mutating func append(_ row: LiveRow) {
        precondition(count < capacity, "\(capacity) live rows were to be")
        (base + count).initialize(to: row)
        count += 1
    }
}
