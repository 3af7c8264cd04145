/// A schema in a dictionary record, without its number.
extension Schema {
    private static let counterFlag: UInt64 = 1
    /// The granularity is that of the field before, 1 for the first.
    private static let sameGranularityFlag: UInt64 = 2
    private static let partFlag: UInt64 = 1

    func encode(into bytes: inout [UInt8]) {
        Varint.append(UInt64(fields.count), to: &bytes)
        var metric: Int64 = 0
        var granularity: UInt32 = 1
        for field in fields {
            let step = Varint.zigzag(Int64(field.metric) - metric - 1) << 2
            let isSame = field.granularity == granularity
            Varint.append(
                step | (field.isCounter ? Self.counterFlag : 0)
                    | (isSame ? Self.sameGranularityFlag : 0), to: &bytes)
            if !isSame { Varint.append(UInt64(field.granularity), to: &bytes) }
            metric = Int64(field.metric)
            granularity = field.granularity
        }
        encodePredictions(into: &bytes)
    }

    private func encodePredictions(into bytes: inout [UInt8]) {
        Varint.append(UInt64(predictions.count), to: &bytes)
        var last = -1
        for prediction in predictions {
            let column = prediction.column
            let step = UInt64(column - last - 1) << 1
            last = column
            switch prediction.source {
            case .part(let whole):
                Varint.append(step | Self.partFlag, to: &bytes)
                Varint.append(UInt64(column - whole - 1), to: &bytes)
            case .sum(let terms):
                Varint.append(step, to: &bytes)
                Varint.append(UInt64(terms.count), to: &bytes)
                for term in terms { Self.encode(term, of: column, into: &bytes) }
            }
        }
    }

    /// Distance, and how the weight is written: 0 is 1, 1 is -1, 2 is a varint that follows.
    private static func encode(
        _ term: Prediction.Term, of column: Int, into bytes: inout [UInt8]
    ) {
        let form: UInt64 = term.weight == 1 ? 0 : term.weight == -1 ? 1 : 2
        Varint.append(UInt64(column - term.column - 1) << 2 | form, to: &bytes)
        if form == 2 { Varint.append(signed: Int64(term.weight), to: &bytes) }
    }

    init(reading reader: inout ByteReader, limits: WireLimits) throws(WireError) {
        let start = reader.offset
        let count = try reader.count("fields of a schema", limit: limits.fieldsPerSchema)
        var fields: [SchemaField] = []
        var metric: Int64 = 0
        var granularity: UInt32 = 1
        for _ in 0..<count {
            let head = try reader.varint()
            metric = metric &+ Varint.unzigzag(head >> 2) &+ 1
            guard let number = UInt16(exactly: metric) else {
                throw .malformed(what: "metric number", offset: reader.offset)
            }
            if head & Self.sameGranularityFlag == 0 {
                granularity = UInt32(
                    try reader.count("granularity", limit: Int(UInt32.max)))
            }
            fields.append(
                SchemaField(
                    metric: number, granularity: granularity,
                    isCounter: head & Self.counterFlag != 0))
        }
        self.init(
            fields,
            predictions: try Self.predictions(&reader, columns: count, limits: limits))
        guard isWellFormed else { throw .malformed(what: "schema", offset: start) }
    }

    private static func predictions(
        _ reader: inout ByteReader, columns: Int, limits: WireLimits
    ) throws(WireError) -> [Prediction] {
        var predictions: [Prediction] = []
        var last = -1
        var terms = 0
        for _ in 0..<(try reader.count("predictions", limit: columns)) {
            let head = try reader.count("column", limit: 2 * columns)
            let column = last + 1 + head / 2
            last = column
            if head & Int(partFlag) != 0 {
                let distance = try reader.count("column", limit: columns)
                predictions.append(Prediction(column: column, .part(of: column - distance - 1)))
                terms += 1
                continue
            }
            let count = try reader.count("terms", limit: limits.termsPerSchema - terms)
            terms += count
            var sources: [Prediction.Term] = []
            for _ in 0..<count { sources.append(try term(&reader, of: column, columns)) }
            predictions.append(Prediction(column: column, .sum(sources)))
        }
        return predictions
    }

    private static func term(
        _ reader: inout ByteReader, of column: Int, _ columns: Int
    ) throws(WireError) -> Prediction.Term {
        let head = try reader.count("column", limit: 4 * columns + 3)
        let source = column - head / 4 - 1
        switch head % 4 {
        case 0: return Prediction.Term(column: source)
        case 1: return Prediction.Term(column: source, weight: -1)
        case 2:
            guard let weight = Int32(exactly: try reader.signedVarint()) else {
                throw .malformed(what: "weight", offset: reader.offset)
            }
            return Prediction.Term(column: source, weight: weight)
        default: throw .malformed(what: "weight", offset: reader.offset)
        }
    }
}
