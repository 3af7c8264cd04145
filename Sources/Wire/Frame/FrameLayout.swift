/// Which subject sits in which slot, and where the values of each are: the picture that the
/// dictionary draws, the same at both ends after the same `SubjectChange`s.
///
/// The values of all subjects are in one flat array. A subject's *row* is a run of it, one element
/// per field of its schema. Slots and rows of removed subjects are used again.
public struct FrameLayout: Sendable {
    /// Where a live subject's values are.
    public struct Row: Sendable, Equatable {
        public let schema: SchemaNumber
        /// Index of the first value in the flat array. Moves when the layout is packed.
        public internal(set) var offset: Int
        /// Fields of the schema.
        public let count: Int
        /// Index of the first word of change flags in their array, which has a word for every 64
        /// columns of a subject. Moves when the layout is packed.
        public internal(set) var firstWord: Int

        /// Words of change flags.
        public var wordCount: Int { (count + 63) / 64 }
    }

    /// A `Row`, or none: a schema has at least one field.
    struct PackedRow {
        private var offset: UInt32 = 0
        private var firstWord: UInt32 = 0
        private var count: UInt16 = 0
        private var schema: SchemaNumber = 0

        init() {}

        /// - Precondition: as `WireLimits` promises, the numbers fit.
        init(_ row: Row) {
            offset = UInt32(row.offset)
            firstWord = UInt32(row.firstWord)
            count = UInt16(row.count)
            schema = row.schema
        }

        @inline(__always) var isFree: Bool { count == 0 }

        @inline(__always) var row: Row {
            Row(
                schema: schema, offset: Int(truncatingIfNeeded: offset),
                count: Int(truncatingIfNeeded: count),
                firstWord: Int(truncatingIfNeeded: firstWord))
        }
    }

    /// What the owner of the flat array has to do after a change.
    public enum Effect: Sendable, Equatable {
        case none
        /// The array must have `valueCapacity` elements, and the row starts without history.
        case added(Slot, Row)
        /// The row is free.
        case removed(Slot, Row)
    }

    /// One run of values moved to the front, to be done in the order given (never overlapping
    /// forwards: `to` < `from`).
    public struct Move: Sendable, Equatable {
        public let from: Int
        public let to: Int
        public let count: Int
        /// The same for the words of flags.
        public let fromWord: Int
        public let toWord: Int
        public let wordCount: Int
    }

    public let limits: WireLimits
    /// Elements that the flat array needs.
    public private(set) var valueCapacity = 0
    /// Elements that the array of flag words needs.
    public private(set) var wordCapacity = 0
    /// Values of the live subjects, so of one frame.
    public private(set) var valueCount = 0
    /// Live subjects.
    public private(set) var subjectCount = 0
    /// Bytes of attributes of the live subjects.
    public private(set) var dictionaryBytes = 0

    private var schemas: [Schema?] = []
    /// By slot, in 12 bytes: there is one of these for every subject of a cluster.
    private var rows: [PackedRow] = []
    private var attributeBytes: [Int32] = []
    /// Free rows, by width.
    private var freeRows: [Int: [Row]] = [:]

    public init(limits: WireLimits = WireLimits()) {
        self.limits = limits
    }

    /// All slots in use are below it.
    public var slotEnd: Int { rows.count }

    /// The row of a live subject, `nil` for a free slot.
    @inline(__always)
    public func row(of slot: Slot) -> Row? {
        guard slot < UInt32(truncatingIfNeeded: rows.count), !rows[Int(slot)].isFree else {
            return nil
        }
        return rows[Int(slot)].row
    }

    /// By slot, without counting references.
    func withPackedRows(_ body: (UnsafeBufferPointer<PackedRow>) -> Void) {
        rows.withUnsafeBufferPointer(body)
    }

    public func schema(_ number: SchemaNumber) -> Schema? {
        Int(number) < schemas.count ? schemas[Int(number)] : nil
    }

    /// Bytes of a live subject's attributes, 0 for a free slot.
    func attributeBytes(of slot: Slot) -> Int {
        row(of: slot) == nil ? 0 : Int(attributeBytes[Int(slot)])
    }

    /// The schema of a live subject.
    public func schema(of slot: Slot) -> Schema? { row(of: slot).flatMap { schema($0.schema) } }

    /// Every live slot in ascending order, which is the order within a frame.
    public var liveSlots: some Sequence<Slot> {
        rows.indices.lazy.filter { !rows[$0].isFree }.map { Slot($0) }
    }

    /// All schemas that were defined, in the order of their numbers.
    public var definedSchemas: some Sequence<(SchemaNumber, Schema)> {
        schemas.indices.lazy.compactMap { index in
            schemas[index].map { (SchemaNumber(index), $0) }
        }
    }

    /// Takes a change of the dictionary, or throws and stays as it was.
    ///
    /// - Throws: `limitExceeded`, `schemaRedefined`, `unknownSchema`, `slotInUse`, `unknownSlot`,
    ///   `malformed` for an empty schema.
    public mutating func apply(_ change: SubjectChange) throws(WireError) -> Effect {
        switch change {
        case .schema(let number, let schema):
            try define(number, schema)
            return .none
        case .add(let slot, let number, let subject):
            return try add(slot, number, subject)
        case .remove(let slot):
            return try remove(slot)
        }
    }

    /// Whether so much of the array is unused that it should be packed.
    public var isSparse: Bool { valueCapacity > 2 * valueCount + 8_192 }

    /// Gives every row a new place without gaps.
    public mutating func pack() -> [Move] {
        let order = rows.indices.filter { !rows[$0].isFree }
            .sorted { rows[$0].row.offset < rows[$1].row.offset }
        var moves: [Move] = []
        var end = 0
        var endWord = 0
        for index in order {
            var row = rows[index].row
            if row.offset != end || row.firstWord != endWord {
                moves.append(
                    Move(
                        from: row.offset, to: end, count: row.count, fromWord: row.firstWord,
                        toWord: endWord, wordCount: row.wordCount))
                row.offset = end
                row.firstWord = endWord
                rows[index] = PackedRow(row)
            }
            end += row.count
            endWord += row.wordCount
        }
        freeRows.removeAll()
        valueCapacity = end
        wordCapacity = endWord
        return moves
    }

    /// Keeps an equal schema in the place of one that was defined, so that its memory is shared.
    mutating func share(_ number: SchemaNumber, _ schema: Schema) {
        schemas[Int(number)] = schema
    }

    private mutating func define(_ number: SchemaNumber, _ schema: Schema) throws(WireError) {
        try check("schema number", Int(number), below: limits.schemas)
        try check("fields of a schema", schema.fields.count, below: limits.fieldsPerSchema + 1)
        try check("terms of a schema", schema.termCount, below: limits.termsPerSchema + 1)
        guard schema.isWellFormed else { throw .malformed(what: "schema", offset: 0) }
        guard self.schema(number) == nil else { throw .schemaRedefined(number) }
        while schemas.count <= Int(number) { schemas.append(nil) }
        schemas[Int(number)] = schema
    }

    private mutating func add(
        _ slot: Slot, _ number: SchemaNumber, _ subject: Subject
    ) throws(WireError) -> Effect {
        try check("attributes", subject.attributes.count, below: limits.attributesPerSubject + 1)
        var bytes = 0
        for text in subject.attributes.values {
            try check("attribute bytes", text.utf8.count, below: limits.attributeBytes + 1)
            bytes += text.utf8.count
        }
        return .added(slot, try add(slot, number, attributeBytes: bytes))
    }

    /// Adds a subject of which only the length of its attributes is known.
    mutating func add(
        _ slot: Slot, _ number: SchemaNumber, attributeBytes bytes: Int
    ) throws(WireError) -> Row {
        guard let schema = schema(number) else { throw .unknownSchema(number) }
        guard row(of: slot) == nil else { throw .slotInUse(slot) }
        try check("slot", Int(slot), below: limits.subjects)
        let count = schema.fields.count
        try check("values of a frame", valueCount + count, below: limits.valuesPerFrame + 1)
        try check("dictionary bytes", dictionaryBytes + bytes, below: limits.dictionaryBytes + 1)

        while rows.count <= Int(slot) {
            rows.append(PackedRow())
            attributeBytes.append(0)
        }
        let row = takeRow(number, count)
        rows[Int(slot)] = PackedRow(row)
        attributeBytes[Int(slot)] = Int32(bytes)
        valueCount += count
        subjectCount += 1
        dictionaryBytes += bytes
        return row
    }

    private mutating func remove(_ slot: Slot) throws(WireError) -> Effect {
        guard let row = row(of: slot) else { throw .unknownSlot(slot) }
        rows[Int(slot)] = PackedRow()
        dictionaryBytes -= Int(attributeBytes[Int(slot)])
        valueCount -= row.count
        subjectCount -= 1
        freeRows[row.count, default: []].append(row)
        return .removed(slot, row)
    }

    private mutating func takeRow(_ number: SchemaNumber, _ count: Int) -> Row {
        let free = freeRows[count]?.popLast()
        let row = Row(
            schema: number, offset: free?.offset ?? valueCapacity, count: count,
            firstWord: free?.firstWord ?? wordCapacity)
        if free == nil {
            valueCapacity += count
            wordCapacity += row.wordCount
        }
        return row
    }

    private func check(_ what: StaticText, _ actual: Int, below end: Int) throws(WireError) {
        guard actual < end else {
            throw .limitExceeded(what: what, actual: actual, limit: end - 1)
        }
    }
}
