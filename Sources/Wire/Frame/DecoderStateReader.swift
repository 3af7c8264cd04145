/// Reads what `DecoderStateWriter` wrote into a state that has the layout already.
///
/// Every number is checked for what the codec can have learnt, so that a decoder in a state from
/// here is in no way different from one that decoded frames.
struct DecoderStateReader: ~Copyable {
    private var bits: BitReader
    private var codes: DecoderStateCodes
    private let values: UnsafeMutablePointer<Int64>
    private let series: UnsafeMutablePointer<SeriesState>
    private let flags: UnsafeMutablePointer<ChangeFlags>

    static func read(
        _ bytes: inout ByteReader, into state: inout FrameState, phase: Int
    ) throws(WireError) {
        let groupCount = try bytes.count(
            "groups", limit: state.layout.limits.subjects / LiveRow.groupSlots + 1)
        state.restore(phase: phase, groupCount: groupCount)
        var reader = DecoderStateReader(state, bytes)
        try reader.readGroups(state, groupCount)
        for slot in state.layout.liveSlots where !state.isNew(slot) {
            guard let row = state.layout.row(of: slot), let plan = state.plan(row.schema) else {
                continue
            }
            try reader.read(row, plan)
        }
        guard !reader.bits.isPastEnd else { throw .truncated(offset: bytes.bytes.count) }
        guard reader.bits.isAtEnd else { throw reader.malformed("end of decoder state") }
    }

    private init(_ state: borrowing FrameState, _ bytes: ByteReader) {
        bits = BitReader(bytes.bytes, byteOffset: bytes.offset)
        codes = DecoderStateCodes(state.layout)
        values = state.values.base
        series = state.series.base
        flags = state.flags.base
    }

    private func malformed(_ what: StaticText) -> WireError {
        .malformed(what: what, offset: bits.byteOffset)
    }

    private mutating func readGroups(
        _ state: borrowing FrameState, _ count: Int
    ) throws(WireError) {
        for index in 0..<count {
            guard bits.bit() else {
                guard index < count - 1 else { throw malformed("group state") }
                continue
            }
            let steady = Int(bits.bits(GroupState.meanBits))
            let silent = Int(bits.bits(GroupState.meanBits))
            let length = bits.bit() ? try readSeries(near: SeriesState()) : SeriesState()
            guard let group = GroupState(steady: steady, silent: silent, length: length),
                !group.isInitial
            else { throw malformed("group state") }
            state.groups.base[index] = group
        }
    }

    private mutating func read(
        _ row: FrameLayout.Row, _ plan: SchemaPlan
    ) throws(WireError) {
        let model = codes.enter(row)
        for word in 0..<row.wordCount {
            let columns = word * 64..<min(word * 64 + 64, row.count)
            readValues(columns, row, model, plan.tables.pointee)
            flags[row.firstWord + word] = readFlags(width: columns.count)
            let known = bits.longBits(columns.count)
            for column in columns {
                let isKnown = known >> UInt64(column - columns.lowerBound) & 1 != 0
                let near = model.map { series[$0 + column] } ?? SeriesState()
                series[row.offset + column] =
                    isKnown ? try readSeries(near: near) : SeriesState()
            }
            guard !bits.isPastEnd else { throw .truncated(offset: bits.byteOffset) }
        }
    }

    private mutating func readValues(
        _ columns: Range<Int>, _ row: FrameLayout.Row, _ model: Int?, _ tables: SchemaPlan.Tables
    ) {
        let changed = bits.longBits(columns.count)
        for column in columns {
            var value = model.map { values[$0 + column] } ?? 0
            var units = codes.takePredicted(column)
            if changed >> UInt64(column - columns.lowerBound) & 1 != 0 {
                let code = codes.code(column)
                switch code.pointee.read(DecoderStateCodes.model(code), &bits) {
                case .change(let change):
                    units = units &+ change
                case .raw(let change):
                    value = value &+ change
                    units = 0
                }
            }
            codes.push(column, units, tables)
            values[row.offset + column] = value &+ units &* Int64(tables.columns[column].granularity)
        }
    }

    private mutating func readFlags(width: Int) -> ChangeFlags {
        let remembered = bits.longBits(width)
        guard remembered != 0 else { return ChangeFlags() }
        var word = ChangeFlags()
        word.last = FlagReader.spread(over: remembered, &bits)
        word.beforeLast = FlagReader.spread(over: remembered, &bits)
        word.recent = FlagReader.spread(over: remembered, &bits)
        word.earlier = remembered & ~word.recent
        if word.recent != 0 { word.earlier |= FlagReader.spread(over: word.recent, &bits) }
        return word
    }

    private mutating func readSeries(near other: SeriesState) throws(WireError) -> SeriesState {
        let near = other.isEmpty ? DecoderStateCodes.usualPlain : other.plain
        let plain = try readMean(near: near)
        let centred = bits.bit() ? try readMean(near: plain) : nil
        var middle: Int64
        // Checked before it becomes a parameter.
        guard plain <= 1 + LogarithmicMean.signedMax else { throw malformed("column state") }
        if let folded = ExponentialGolomb.read(DecoderStateCodes.middleParameter(plain), &bits) {
            middle = Varint.unzigzag(folded)
        } else {
            let long = SeriesState.readLong(bits)
            bits = long.reader
            guard !long.isRaw else { throw malformed("column state") }
            middle = long.change
        }
        guard let state = SeriesState(plain: plain, centred: centred, middle: middle) else {
            throw malformed("column state")
        }
        return state
    }

    private mutating func readMean(near other: Int) throws(WireError) -> Int {
        guard let folded = ExponentialGolomb.read(DecoderStateCodes.meanParameter, &bits) else {
            throw malformed("column state")
        }
        return other &+ Int(truncatingIfNeeded: Varint.unzigzag(folded))
    }
}
