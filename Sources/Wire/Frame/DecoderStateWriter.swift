/// Writes what a decoder knows beside its layout: groups, then subject by subject.
///
/// A subject's values are written as they differ from those of the subject before it that has the
/// same schema, with the schema's predictions and units; what was learnt of its columns likewise.
struct DecoderStateWriter: ~Copyable {
    private var bits = BitWriter()
    private var codes: DecoderStateCodes
    private let values: UnsafeMutablePointer<Int64>
    private let series: UnsafeMutablePointer<SeriesState>
    private let flags: UnsafeMutablePointer<ChangeFlags>

    static func write(_ state: borrowing FrameState, into bytes: inout [UInt8]) {
        var writer = DecoderStateWriter(state)
        writer.writeGroups(state, &bytes)
        for slot in state.layout.liveSlots where !state.isNew(slot) {
            guard let row = state.layout.row(of: slot), let plan = state.plan(row.schema) else {
                continue
            }
            writer.write(row, plan)
        }
        writer.bits.finish(into: &bytes)
    }

    private init(_ state: borrowing FrameState) {
        codes = DecoderStateCodes(state.layout)
        values = state.values.base
        series = state.series.base
        flags = state.flags.base
    }

    /// All groups up to the last one that learnt anything. One without subjects may have learnt from
    /// those that it had.
    private mutating func writeGroups(_ state: borrowing FrameState, _ bytes: inout [UInt8]) {
        var count = state.groups.capacity
        while count > 0, state.groups.base[count - 1].isInitial { count -= 1 }
        Varint.append(UInt64(count), to: &bytes)
        for index in 0..<count {
            let group = state.groups.base[index]
            bits.append(group.isInitial ? 0 : 1, count: 1)
            guard !group.isInitial else { continue }
            for mean in [group.silent, group.length.mean] {
                bits.append(UInt64(mean.rawValue), count: 8)
            }
        }
    }

    private mutating func write(_ row: FrameLayout.Row, _ plan: SchemaPlan) {
        let model = codes.enter(row)
        for word in 0..<row.wordCount {
            let columns = word * 64..<min(word * 64 + 64, row.count)
            writeValues(columns, row, model, plan.tables.pointee)
            writeFlags(flags[row.firstWord + word], width: columns.count)
            writeSeries(columns, row, model)
        }
    }

    private mutating func writeValues(
        _ columns: Range<Int>, _ row: FrameLayout.Row, _ model: Int?, _ tables: SchemaPlan.Tables
    ) {
        var changed: UInt64 = 0
        var raw: UInt64 = 0
        let changes = codes.changes.base
        let expected = codes.expected.base
        for column in columns {
            let base = model.map { values[$0 + column] } ?? 0
            let difference = values[row.offset + column] &- base
            let plan = tables.columns[column]
            let units = tables.divisors[column].units(difference)
            changes[column] = units.map { $0 &- expected[column] } ?? difference
            expected[column] = 0
            tables.pass(units ?? 0, of: plan, to: expected)
            let bit: UInt64 = 1 << UInt64(column - columns.lowerBound)
            if units == nil { raw |= bit }
            if units == nil || changes[column] != 0 { changed |= bit }
        }
        bits.appendLong(changed, count: columns.count)
        for column in columns {
            let bit: UInt64 = 1 << UInt64(column - columns.lowerBound)
            guard changed & bit != 0 else { continue }
            if raw & bit != 0 {
                SeriesState.writeEscape(changes[column], isRaw: true, &bits)
            } else {
                let code = codes.code(column)
                code.pointee.write(
                    changes[column], code.pointee.parameter(value: 0, unitBits: 0, isFresh: true),
                    isPositive: false, &bits)
            }
        }
    }

    private mutating func writeFlags(_ word: ChangeFlags, width: Int) {
        bits.appendLong(word.active, count: width)
        if word.active != 0 { FlagWriter.gather(word.recent, over: word.active, &bits) }
        if word.recent != 0 { FlagWriter.gather(word.earlier, over: word.recent, &bits) }
    }

    private mutating func writeSeries(
        _ columns: Range<Int>, _ row: FrameLayout.Row, _ model: Int?
    ) {
        var known: UInt64 = 0
        for column in columns where !series[row.offset + column].isEmpty {
            known |= 1 << UInt64(column - columns.lowerBound)
        }
        bits.appendLong(known, count: columns.count)
        for column in columns where !series[row.offset + column].isEmpty {
            let mean = Int64(series[row.offset + column].mean.rawValue)
            let near = DecoderStateCodes.near(model.map { series[$0 + column] })
            ExponentialGolomb.write(
                Varint.zigzag(mean - near), DecoderStateCodes.meanParameter, &bits)
        }
    }
}

/// What writer and reader of a state keep alike while they go from subject to subject.
struct DecoderStateCodes: ~Copyable {
    /// Of the subject at hand, in units of the columns' granularities. Zero in between.
    var expected = FramePlane<Int64>(zero: 0)
    var changes = FramePlane<Int64>(zero: 0)
    /// How the values of every column of every schema are coded, learnt from subject to subject.
    private var codes = FramePlane(zero: SeriesState())
    private var firstCodes: [Int] = []
    /// Where the last subject of each schema has its row, -1 before the first.
    private var models: [Int] = []
    private var firstCode = 0

    /// Parameter of the code for how a mean differs from another.
    static let meanParameter = 2
    /// What a mean is taken to be near to where there is none: changes of eight bits.
    private static let usualMean: Int64 = 33

    init(_ layout: FrameLayout) {
        var end = 0
        var widest = 1
        for (number, schema) in layout.definedSchemas {
            while firstCodes.count <= Int(number) { firstCodes.append(end) }
            end += schema.fields.count
            widest = max(widest, schema.fields.count)
        }
        models = [Int](repeating: -1, count: firstCodes.count)
        codes.grow(to: end)
        expected.grow(to: widest)
        changes.grow(to: widest)
    }

    /// Goes on to a subject; returns where its model's row is.
    mutating func enter(_ row: FrameLayout.Row) -> Int? {
        firstCode = firstCodes[Int(row.schema)]
        let model = models[Int(row.schema)]
        models[Int(row.schema)] = row.offset
        return model < 0 ? nil : model
    }

    /// What a column's mean is taken to be near to.
    ///
    /// - Parameter model: of the model's column.
    static func near(_ model: SeriesState?) -> Int64 {
        guard let model, !model.isEmpty else { return usualMean }
        return Int64(model.mean.rawValue)
    }

    /// The code of a column of the subject at hand.
    func code(_ column: Int) -> UnsafeMutablePointer<SeriesState> {
        codes.base + firstCode + column
    }
}
