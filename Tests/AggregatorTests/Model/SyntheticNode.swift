import Wire

@testable import Aggregator

/// An agent without a kernel: subjects and values set by hand, encoded as the real one does.
final class SyntheticNode {
    let name: String
    let runID: [UInt8]
    private let encoder = FrameEncoder()
    private var schemaNumbers: [Schema: SchemaNumber] = [:]
    private var pending: [SubjectChange] = []
    private var subjects: [Slot: (Subject, SchemaNumber, Schema)] = [:]
    /// Slots in the order in which their subjects came: parents before children.
    private var order: [Slot] = []
    private var sequence: UInt64 = 0
    private var openChain: ChainID?

    init(_ name: String, run: UInt8 = 1) {
        self.name = name
        runID = [UInt8](repeating: run, count: 16)
    }

    /// Of the machine, 0 for unknown.
    var cores: UInt64 = 0

    var hello: Hello {
        var hello = Hello(nodeName: name, runID: runID)
        hello.machine.cores = cores
        return hello
    }

    /// - Parameter newer: further columns, of a catalogue that is newer than ours.
    func add(
        _ slot: Slot, _ subject: Subject, _ metrics: [MetricID], newer: [SchemaField] = []
    ) throws {
        let schema = Schema(([.readOffset] + metrics).map { SchemaField($0) } + newer)
        let number = schemaNumbers[schema] ?? SchemaNumber(schemaNumbers.count)
        if schemaNumbers[schema] == nil {
            schemaNumbers[schema] = number
            pending.append(.schema(number, schema))
            try encoder.apply(.schema(number, schema))
        }
        pending.append(.add(slot, number, subject))
        try encoder.apply(.add(slot, number, subject))
        subjects[slot] = (subject, number, schema)
        order.append(slot)
    }

    func remove(_ slot: Slot) throws {
        pending.append(.remove(slot))
        try encoder.apply(.remove(slot))
        subjects[slot] = nil
        order.removeAll { $0 == slot }
    }

    func set(_ slot: Slot, _ metric: MetricID, _ value: Int64) {
        guard let column = subjects[slot]?.2.column(of: metric) else {
            preconditionFailure("slot \(slot) has no \(metric)")
        }
        encoder.row(of: slot)[column] = value
    }

    /// Sets a column of a newer catalogue.
    func set(_ slot: Slot, newer metric: UInt16, _ value: Int64) {
        guard let column = subjects[slot]?.2.fields.firstIndex(where: { $0.metric == metric })
        else {
            preconditionFailure("slot \(slot) has no metric \(metric)")
        }
        encoder.row(of: slot)[column] = value
    }

    /// The records of one step. A key frame begins a new chain with the whole dictionary.
    func frame(step: Int64, delay: Int64 = 0, key: Bool = false) -> [Record] {
        sequence += 1
        var records: [Record] = []
        let begins = key || openChain == nil
        if begins {
            openChain = sequence
            var payload: [UInt8] = []
            Varint.append(sequence, to: &payload)
            records.append(Record(type: .chain, flags: .begins, payload: payload))
            let schemas = schemaNumbers.sorted { $0.value < $1.value }
                .map { SubjectChange.schema($0.value, $0.key) }
            let adds = order.compactMap { slot in
                subjects[slot].map { SubjectChange.add(slot, $0.1, $0.0) }
            }
            pending = schemas + adds
        }
        if !pending.isEmpty {
            var payload: [UInt8] = []
            DictionaryCodec.encode(pending, into: &payload)
            records.append(Record(type: .subjects, payload: payload))
            pending = []
        }
        var payload: [UInt8] = []
        encoder.encode(
            FrameHeader(
                sequence: sequence, stepMilliseconds: step, readDelayMilliseconds: delay,
                isKey: begins), into: &payload)
        records.append(Record(type: .frame, payload: payload))
        return records
    }
}

extension NodeModel {
    /// Takes records as an ingest session would.
    func receive(_ records: [Record], now: Int64 = .max) throws {
        for record in records {
            try record.payload.withUnsafeBytes { payload in
                switch record.type {
                case .chain:
                    var reader = ByteReader(payload)
                    try select(try reader.varint(), begins: record.flags.contains(.begins))
                case .subjects: try receiveSubjects(payload)
                case .frame: _ = try receiveFrame(payload, now: now)
                default: preconditionFailure("\(record.type)")
                }
            }
        }
    }
}
