import Wire

/// An open chain as it is before its next frame: its subjects, their newest readings, and the state of
/// the decoder.
struct ChainSnapshot {
    /// A subject in the chain, or one that is the parent of another and in no slot any more.
    struct Entry {
        var subject: Subject
        var schema: SchemaNumber
        /// Index of the entry that is its parent.
        var parent: Int?
        var slot: Slot?
        /// First frame of the chain in which it was.
        var firstSequence: UInt64 = 0
        /// Its part of the `RateTable`.
        var readings: [Int64] = []
    }

    let id: ChainID
    let nextSequence: UInt64
    let entries: [Entry]
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
        Varint.append(UInt64(table.records.count), to: &bytes)
        var names: [UInt8] = []
        DictionaryCodec.encode(table.changes, into: &names)
        Varint.append(UInt64(names.count), to: &bytes)
        bytes.append(contentsOf: names)
        for (index, record) in table.records.enumerated() {
            guard let slot = table.slots[index] else {
                Varint.append(0, to: &bytes)
                continue
            }
            Varint.append(UInt64(slot) + 1, to: &bytes)
            let place = record.places.last {
                $0.chain == chain.history.number && $0.slot == slot && $0.lastSequence == .max
            }
            Varint.append(place?.firstSequence ?? chain.id, to: &bytes)
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
        private let chain: OpenChain
        private(set) var records: [SubjectRecord] = []
        private(set) var slots: [Slot?] = []
        private(set) var changes: [SubjectChange] = []
        private var indices: [ObjectIdentifier: Int] = [:]

        init(_ chain: OpenChain) { self.chain = chain }

        mutating func add(_ record: SubjectRecord, slot: Slot) {
            slots[place(of: record, schema: chain.decoder.layout.row(of: slot)?.schema)] = slot
        }

        private mutating func place(of record: SubjectRecord, schema: SchemaNumber?) -> Int {
            let parent = record.parent.map { place(of: $0, schema: nil) }
            let known = indices[ObjectIdentifier(record)]
            let number = schema ?? self.number(of: record.schema.schema)
            let index = known ?? records.count
            let subject = record.subject.subject(parent: parent.map { Slot($0) })
            let change = SubjectChange.add(Slot(index), number, subject)
            if known == nil {
                indices[ObjectIdentifier(record)] = index
                records.append(record)
                slots.append(nil)
                changes.append(change)
            } else if schema != nil {
                changes[index] = change
            }
            return index
        }

        /// Of a parent that may be in no slot: any number of an equal schema says the same.
        private func number(of schema: Schema) -> SchemaNumber {
            chain.decoder.layout.definedSchemas.first { $0.1 == schema }?.0 ?? 0
        }
    }
}

extension ChainSnapshot {
    // MARK: Reading

    /// - Throws: what decoding the parts throws; `malformed` where they do not fit together.
    init(decoding payload: UnsafeRawBufferPointer, limits: WireLimits) throws(WireError) {
        var reader = ByteReader(payload)
        let head = try Head(&reader)
        (id, nextSequence) = (head.id, head.nextSequence)
        let count = try reader.count("subjects", limit: 2 * limits.subjects)
        let names = try reader.take(try reader.count("field length", limit: reader.remaining))
        var entries: [Entry] = []
        for change in try DictionaryCodec.decode(names, limits: Self.tableLimits(limits)) {
            guard case .add(let index, let schema, let subject) = change,
                Int(index) == entries.count
            else { throw .malformed(what: "chain state", offset: reader.offset) }
            let parent = subject.parent.map { Int($0) }
            guard parent ?? -1 < entries.count else {
                throw .malformed(what: "parent", offset: reader.offset)
            }
            entries.append(Entry(subject: subject, schema: schema, parent: parent))
        }
        guard entries.count == count else {
            throw .malformed(what: "chain state", offset: reader.offset)
        }
        for index in entries.indices {
            try Self.readPlace(of: &entries[index], &reader, limits)
        }
        self.entries = entries
        let state = try reader.take(reader.remaining)
        decoderState = Array(state)
        decoder = try FrameDecoder(state: state, limits: limits)
        for entry in entries {
            guard let slot = entry.slot else { continue }
            guard decoder.layout.row(of: slot)?.schema == entry.schema else {
                throw .malformed(what: "slot of a chain state", offset: 0)
            }
        }
    }

    private static func readPlace(
        of entry: inout Entry, _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) {
        let slot = try reader.count("slot", limit: limits.subjects)
        guard slot > 0 else { return }
        entry.slot = Slot(slot - 1)
        entry.firstSequence = try reader.varint()
        let width = try reader.count("readings", limit: RateTable.width(counters: 64))
        for _ in 0..<width { entry.readings.append(try reader.signedVarint()) }
    }

    /// The table has the parents beside what is in slots.
    private static func tableLimits(_ limits: WireLimits) -> WireLimits {
        var limits = limits
        limits.subjects *= 2
        limits.dictionaryBytes *= 2
        return limits
    }
}
