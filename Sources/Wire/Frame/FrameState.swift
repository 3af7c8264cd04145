/// What the encoder and the decoder keep alike: the layout and, per column, the last frame's value
/// and what was learnt of its changes.
struct FrameState: ~Copyable {
    private(set) var layout: FrameLayout
    /// The last frame's values.
    private(set) var values: FramePlane<Int64>
    /// What was learnt of every column.
    private(set) var series: FramePlane<SeriesState>
    /// Which columns changed, in words of 64.
    private(set) var flags: FramePlane<ChangeFlags>
    /// By group of slots.
    private(set) var groups: FramePlane<GroupState>
    var context: FrameHeader.Context?
    private(set) var live = LiveRows()
    /// Differences of the subject at hand, in units, of those columns that were looked at.
    private(set) var differences: FramePlane<Int64>
    /// What its sums are expected to be by the terms that were looked at. Zero in between.
    private(set) var expected: FramePlane<Int64>
    /// Of the subject at hand, per 64 columns.
    let scratch: UnsafeMutablePointer<ScratchWord>

    /// Frames since the last key frame.
    private var frameIndex = 0
    private var plans: [SchemaPlan?] = []
    private let sharedPlans: SchemaPlans?
    /// Added since the last frame, by slot.
    private var isNew: [Bool] = []
    private var newCount = 0
    private var isLiveOutdated = true
    /// The last fresh row of each schema, by its number; only while a frame begins.
    private var lastFresh: [Int32] = []

    struct ScratchWord: BitwiseCopyable {
        /// Sums to look at, because of a term in an earlier word. Zero in between.
        var pending: UInt64 = 0
        /// Columns that were looked at.
        var seen: UInt64 = 0
    }

    /// - Parameter plans: where schemas are shared with others.
    init(limits: WireLimits, plans sharedPlans: SchemaPlans? = nil) {
        self.sharedPlans = sharedPlans
        scratch = Self.makeScratch(limits)
        layout = FrameLayout(limits: limits)
        values = FramePlane(zero: 0)
        series = FramePlane(zero: SeriesState())
        flags = FramePlane(zero: ChangeFlags())
        groups = FramePlane(zero: GroupState())
        differences = FramePlane(zero: 0)
        expected = FramePlane(zero: 0)
    }

    /// The same state in memory of its own.
    init(copying other: borrowing FrameState) {
        layout = other.layout
        values = FramePlane(copying: other.values)
        series = FramePlane(copying: other.series)
        flags = FramePlane(copying: other.flags)
        groups = FramePlane(copying: other.groups)
        differences = FramePlane(copying: other.differences)
        expected = FramePlane(copying: other.expected)
        context = other.context
        frameIndex = other.frameIndex
        plans = other.plans
        sharedPlans = other.sharedPlans
        isNew = other.isNew
        newCount = other.newCount
        lastFresh = other.lastFresh
        scratch = Self.makeScratch(other.layout.limits)
    }

    deinit { scratch.deallocate() }

    private static func makeScratch(_ limits: WireLimits) -> UnsafeMutablePointer<ScratchWord> {
        let count = limits.fieldsPerSchema / 64 + 1
        let scratch = UnsafeMutablePointer<ScratchWord>.allocate(capacity: count)
        scratch.initialize(repeating: ScratchWord(), count: count)
        return scratch
    }

    /// The plan of a defined schema.
    func plan(_ number: SchemaNumber) -> SchemaPlan? { plans[Int(number)] }

    /// Whether the flags' memory is turned after the frame at hand.
    var isTurning: Bool { frameIndex % ChangeFlags.memoryFrames == ChangeFlags.memoryFrames - 1 }

    /// Whether any live row is in its first frame.
    var isAnyFresh: Bool { newCount > 0 }

    /// The difference of a column before the one at hand, in units; `nil` for 0.
    @inline(__always)
    func difference(_ column: Int) -> Int64? {
        guard scratch[column &>> 6].seen &>> UInt64(column & 63) & 1 != 0,
            differences.base[column] != 0
        else { return nil }
        return differences.base[column]
    }

    /// Takes a change of the dictionary, or throws and stays as it was.
    ///
    /// - Returns: what changed in the layout. Afterwards ask `packIfSparse`.
    mutating func apply(_ change: SubjectChange) throws(WireError) -> FrameLayout.Effect {
        let effect = try layout.apply(change)
        switch effect {
        case .none:
            guard case .schema(let number, let schema) = change else { break }
            while plans.count <= Int(number) { plans.append(nil) }
            let plan = sharedPlans?.plan(schema) ?? SchemaPlan(schema)
            if sharedPlans != nil { layout.share(number, plan.schema) }
            plans[Int(number)] = plan
            differences.grow(to: schema.fields.count)
            expected.grow(to: schema.fields.count)
        case .added(let slot, let row):
            begin(slot, row)
        case .removed(let slot, _):
            if isNew[Int(slot)] { newCount -= 1 }
            isNew[Int(slot)] = false
            isLiveOutdated = true
        }
        return effect
    }

    /// Makes room for a subject that was added.
    private mutating func begin(_ slot: Slot, _ row: FrameLayout.Row) {
        values.grow(to: layout.valueCapacity)
        series.grow(to: layout.valueCapacity)
        flags.grow(to: layout.wordCapacity)
        groups.grow(to: Int(slot) / LiveRow.groupSlots + 1)
        clear(row.offset, row.count, row.firstWord, row.wordCount)
        while isNew.count <= Int(slot) { isNew.append(false) }
        isNew[Int(slot)] = true
        newCount += 1
        isLiveOutdated = true
    }

    /// Whether a live subject has had no frame yet.
    func isNew(_ slot: Slot) -> Bool { isNew[Int(slot)] }

    /// Frames since the flags' memory was turned.
    var phase: Int { frameIndex % ChangeFlags.memoryFrames }

    /// Adds a subject of a serialised state; its values follow unless it is new.
    mutating func restore(
        _ slot: Slot, _ schema: SchemaNumber, attributeBytes: Int, isNew: Bool
    ) throws(WireError) {
        begin(slot, try layout.add(slot, schema, attributeBytes: attributeBytes))
        guard !isNew else { return }
        self.isNew[Int(slot)] = false
        newCount -= 1
    }

    /// Restores what is not about subjects.
    mutating func restore(phase: Int, groupCount: Int) {
        frameIndex = phase
        groups.grow(to: groupCount)
    }

    /// Packs the layout if much of it is unused, and says what moved.
    mutating func packIfSparse() -> [FrameLayout.Move] {
        guard layout.isSparse else { return [] }
        let moves = layout.pack()
        for move in moves {
            values.move(move.from, move.to, move.count)
            series.move(move.from, move.to, move.count)
            flags.move(move.fromWord, move.toWord, move.wordCount)
        }
        isLiveOutdated = true
        return moves
    }

    /// Prepares the live rows for a frame. No allocation unless subjects came or went.
    mutating func beginFrame(isKey: Bool) {
        if isLiveOutdated { listLive() }
        if isKey {
            groups.clear(0, groups.capacity)
            frameIndex = 0
        }
        if isKey || newCount > 0 { markFresh(isKey: isKey) }
    }

    /// Ends a frame that both ends have in full.
    mutating func endFrame() {
        frameIndex &+= 1
        guard newCount > 0 else { return }
        for index in 0..<live.count where live.base[index].isFresh {
            live.base[index].isFresh = false
            endFirstFrame(live.base[index])
        }
        newCount = 0
    }

    /// Gives a row the start that its first frame is coded against: its model's values, or zeros.
    func copyModelValues(to row: LiveRow) {
        if row.model < 0 {
            (values.base + row.offset).update(repeating: 0, count: row.count)
            (series.base + row.offset).update(repeating: SeriesState(), count: row.count)
        } else {
            let model = live.base[Int(row.model)].offset
            (values.base + row.offset).update(from: values.base + model, count: row.count)
            (series.base + row.offset).update(from: series.base + model, count: row.count)
        }
    }

    func copyModelFlags(to row: LiveRow) {
        if row.model < 0 {
            flags.clear(row.firstWord, row.wordCount)
        } else {
            (flags.base + row.firstWord)
                .update(
                    from: flags.base + live.base[Int(row.model)].firstWord, count: row.wordCount)
        }
    }

    private mutating func clear(_ offset: Int, _ count: Int, _ firstWord: Int, _ wordCount: Int) {
        values.clear(offset, count)
        series.clear(offset, count)
        flags.clear(firstWord, wordCount)
    }

    private mutating func listLive() {
        live.removeAll(reserving: layout.subjectCount)
        for index in 0..<layout.slotEnd {
            guard let row = layout.row(of: Slot(index)), let plan = plans[Int(row.schema)] else {
                continue
            }
            live.append(LiveRow(slot: Slot(index), row, plan))
        }
        while lastFresh.count < plans.count { lastFresh.append(-1) }
        isLiveOutdated = false
    }

    /// Finds the fresh rows and their models: the one before of the same schema, and outside key
    /// frames of the same group, because groups can be passed over.
    private mutating func markFresh(isKey: Bool) {
        for index in lastFresh.indices { lastFresh[index] = -1 }
        for index in 0..<live.count {
            let row = live.base[index]
            guard isKey || isNew[Int(row.slot)] else { continue }
            let last = Int(lastFresh[Int(row.schema)])
            let isUsable = last >= 0 && (isKey || live.base[last].group == row.group)
            live.base[index].isFresh = true
            live.base[index].model = isUsable ? Int32(last) : -1
            lastFresh[Int(row.schema)] = Int32(index)
        }
        newCount = live.count
    }

    /// What was learnt from the model is of no use for the next changes; that values are not zero is.
    private mutating func endFirstFrame(_ row: LiveRow) {
        isNew[Int(row.slot)] = false
        series.clear(row.offset, row.count)
        for word in 0..<row.wordCount {
            var nonZero: UInt64 = 0
            let first = word * 64
            for column in first..<min(first + 64, row.count)
            where values.base[row.offset + column] != 0 {
                nonZero |= 1 &<< UInt64(column - first)
            }
            flags.base[row.firstWord + word].begin(nonZero: nonZero)
        }
    }
}
