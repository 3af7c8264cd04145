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
            guard let silent = SizeMean(checking: bits.bits(8)),
                let length = SizeMean(checking: bits.bits(8)),
                let group = GroupState(silent: silent, length: SeriesState(mean: length)),
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
                let near = DecoderStateCodes.near(model.map { series[$0 + column] })
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
        let expected = codes.expected.base
        for column in columns {
            let plan = tables.columns[column]
            var value = model.map { values[$0 + column] } ?? 0
            var units = expected[column]
            expected[column] = 0
            if changed >> UInt64(column - columns.lowerBound) & 1 != 0 {
                let code = codes.code(column)
                let parameter = code.pointee.parameter(value: 0, unitBits: 0, isFresh: true)
                switch code.pointee.read(parameter, isPositive: false, &bits) {
                case .change(let change):
                    units = units &+ change
                case .raw(let change):
                    value = value &+ change
                    units = 0
                }
            }
            tables.pass(units, of: plan, to: expected)
            values[row.offset + column] = value &+ units &* Int64(plan.granularity)
        }
    }

    private mutating func readFlags(width: Int) -> ChangeFlags {
        let active = bits.longBits(width)
        guard active != 0 else { return ChangeFlags() }
        var word = ChangeFlags()
        word.recent = FlagReader.spread(over: active, &bits)
        word.earlier = active & ~word.recent
        if word.recent != 0 { word.earlier |= FlagReader.spread(over: word.recent, &bits) }
        return word
    }

    private mutating func readSeries(near: Int64) throws(WireError) -> SeriesState {
        guard let folded = ExponentialGolomb.read(DecoderStateCodes.meanParameter, &bits),
            let mean = SizeMean(
                checking: UInt64(bitPattern: near &+ Varint.unzigzag(folded))), !mean.isEmpty
        else { throw malformed("column state") }
        return SeriesState(mean: mean)
    }
}
