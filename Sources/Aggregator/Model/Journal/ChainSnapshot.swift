import Wire

/// An open chain as it is before its next frame: its subjects, their newest readings, and the state of
/// the decoder.
struct ChainSnapshot {
    /// A subject in the chain, or one that is the parent of another and in no slot any more.
    struct Entry {
        let subject: SubjectIdentity
        let schema: SchemaNumber
        /// Index of the entry that is its parent.
        let parent: Int?
    }

    /// Where the entry of the same index is.
    struct Place {
        let slot: Slot
        /// First frame of the chain in which it was.
        let firstSequence: UInt64
        /// Its part of the `RateTable`, in `readings`.
        let readings: Range<Int>
    }

    let id: ChainID
    let nextSequence: UInt64
    /// Empty when only the newest figures were asked for.
    let entries: [Entry]
    /// As many as entries; `nil` for what is in no slot.
    let places: [Place?]
    let readings: [Int64]
    /// What `FrameDecoder.serialize` wrote.
    let decoderState: [UInt8]
    let decoder: FrameDecoder

    /// Number of a chain and of its next frame: what a `chainState` record begins with.
    struct Head {
        let id: ChainID
        let nextSequence: UInt64

        init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
            var reader = ByteReader(payload)
            try self.init(&reader)
        }

        fileprivate init(_ reader: inout ByteReader) throws(WireError) {
            id = try reader.varint()
            nextSequence = try reader.varint()
        }
    }

    // MARK: Writing

    static func encode(_ chain: OpenChain, into bytes: inout [UInt8]) {
        Varint.append(chain.id, to: &bytes)
        Varint.append(chain.nextSequence, to: &bytes)
        var table = Table(chain)
        chain.forEachLive { slot, record in table.add(record, slot: slot) }
        Varint.append(UInt64(table.rows.count), to: &bytes)
        var names: [UInt8] = []
        var writer = PackedDictionaryWriter()
        for (index, row) in table.rows.enumerated() {
            let schema = row.schema ?? table.number(of: row.record.schema.schema)
            row.record.subject.withPacked(parent: row.parent.map { Slot($0) }) {
                writer.add(Slot(index), schema, $0, to: &names)
            }
        }
        Varint.append(UInt64(names.count), to: &bytes)
        bytes.append(contentsOf: names)
        for row in table.rows {
            guard let slot = row.slot else {
                Varint.append(0, to: &bytes)
                continue
            }
            Varint.append(UInt64(slot) + 1, to: &bytes)
            let first = row.record.firstSequence(chain: chain.history.number, slot: slot)
            Varint.append(first ?? chain.id, to: &bytes)
            encodeReadings(of: slot, in: chain, into: &bytes)
        }
        chain.decoder.serialize(into: &bytes)
    }

    /// The columns are near the row's values, and the rates mostly none or zero.
    private static func encodeReadings(
        of slot: Slot, in chain: OpenChain, into bytes: inout [UInt8]
    ) {
        guard let (part, counters) = chain.part(slot) else {
            return Varint.append(0, to: &bytes)
        }
        let width = RateTable.width(counters: counters)
        Varint.append(UInt64(width), to: &bytes)
        for index in 0..<width { Varint.append(signed: part[index], to: &bytes) }
    }

    /// The subjects of a chain, parents before children, and which slot each is in.
    private struct Table {
        struct Row {
            let record: SubjectRecord
            /// `nil` for one that is in no slot.
            var schema: SchemaNumber?
            let parent: Int?
            var slot: Slot?
        }

        private let chain: OpenChain
        private(set) var rows: [Row] = []
        private var indices: [ObjectIdentifier: Int] = [:]

        init(_ chain: OpenChain) { self.chain = chain }

        mutating func add(_ record: SubjectRecord, slot: Slot) {
            let index = place(of: record)
            rows[index].slot = slot
            rows[index].schema = chain.decoder.layout.row(of: slot)?.schema
        }

        private mutating func place(of record: SubjectRecord) -> Int {
            if let known = indices[ObjectIdentifier(record)] { return known }
            let parent = record.parent.map { place(of: $0) }
            indices[ObjectIdentifier(record)] = rows.count
            rows.append(Row(record: record, schema: nil, parent: parent, slot: nil))
            return rows.count - 1
        }

        /// Of a parent that may be in no slot: any number of an equal schema says the same.
        func number(of schema: Schema) -> SchemaNumber {
            chain.decoder.layout.definedSchemas.first { $0.1 == schema }?.0 ?? 0
        }
    }
}

extension ChainSnapshot {
    // MARK: Reading

    /// - Parameters:
    ///   - interner: where names and schemas are shared.
    ///   - isKnown: the subjects and where they are are known; they are not read.
    /// - Throws: what decoding the parts throws; `malformed` where they do not fit together.
    init(
        decoding payload: UnsafeRawBufferPointer, limits: WireLimits, interner: ModelInterner,
        isKnown: Bool
    ) throws(WireError) {
        var reader = ByteReader(payload)
        let head = try Head(&reader)
        (id, nextSequence) = (head.id, head.nextSequence)
        let count = try reader.count("subjects", limit: 2 * limits.subjects)
        let names = try reader.take(try reader.count("field length", limit: reader.remaining))
        entries = isKnown ? [] : try Self.entries(names, limits, interner)
        guard isKnown || entries.count == count else {
            throw .malformed(what: "chain state", offset: reader.offset)
        }
        var places: [Place?] = []
        var readings: [Int64] = []
        for _ in 0..<count { places.append(try Self.place(&reader, &readings, limits)) }
        (self.places, self.readings) = (places, readings)
        let state = try reader.take(reader.remaining)
        decoderState = Array(state)
        decoder = try FrameDecoder(state: state, limits: limits, plans: interner.plans)
        for (entry, place) in zip(entries, places) {
            guard let place else { continue }
            guard decoder.layout.row(of: place.slot)?.schema == entry.schema else {
                throw .malformed(what: "slot of a chain state", offset: 0)
            }
        }
    }

    private static func entries(
        _ names: UnsafeRawBufferPointer, _ limits: WireLimits, _ interner: ModelInterner
    ) throws(WireError) -> [Entry] {
        var entries: [Entry] = []
        try DictionaryCodec.visitAdded(names, limits: tableLimits(limits)) {
            (index, schema, subject) throws(WireError) in
            let parent = subject.parent.map { Int($0) }
            guard Int(index) == entries.count, parent ?? -1 < entries.count else {
                throw .malformed(what: "chain state", offset: 0)
            }
            entries.append(
                Entry(
                    subject: interner.identity(of: subject), schema: schema, parent: parent))
        }
        return entries
    }

    private static func place(
        _ reader: inout ByteReader, _ readings: inout [Int64], _ limits: WireLimits
    ) throws(WireError) -> Place? {
        let slot = try reader.count("slot", limit: limits.subjects)
        guard slot > 0 else { return nil }
        let firstSequence = try reader.varint()
        let start = readings.count
        let width = try reader.count("readings", limit: RateTable.width(counters: 64))
        for _ in 0..<width { readings.append(try reader.signedVarint()) }
        return Place(
            slot: Slot(slot - 1), firstSequence: firstSequence,
            readings: start..<readings.count)
    }

    /// The table has the parents beside what is in slots.
    private static func tableLimits(_ limits: WireLimits) -> WireLimits {
        var limits = limits
        limits.subjects *= 2
        limits.dictionaryBytes *= 2
        return limits
    }
}
