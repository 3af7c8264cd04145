import Wire

/// A dictionary in encoded form: what a chain begins with.
///
/// Changes are kept as the bytes that they are sent as: a subject's attributes as `String`s would take
/// several times the memory.
struct DictionarySnapshot: Equatable {
    private var schemas: [SchemaNumber: [UInt8]] = [:]
    private var subjects: [Slot: Addition] = [:]
    private var additionCount: UInt64 = 0

    /// A subject as it was added. Parents were there before their children, so the order is kept.
    private struct Addition: Equatable {
        var order: UInt64
        var bytes: [UInt8]
    }

    /// Payload bytes of one `subjects` record; a change goes whole into one.
    static let recordByteCount = 64 << 10

    init() {}

    var subjectCount: Int { subjects.count }

    mutating func apply(_ change: SubjectChange) {
        switch change {
        case .schema(let number, _): schemas[number] = Self.bytes(of: change)
        case .add(let slot, _, _):
            subjects[slot] = Addition(order: additionCount, bytes: Self.bytes(of: change))
            additionCount += 1
        case .remove(let slot): subjects[slot] = nil
        }
    }

    /// The dictionary that whole `subjects` records build from nothing.
    ///
    /// - Throws: what is wrong with them.
    init(records: UnsafeRawBufferPointer) throws(WireError) { try take(records) }

    /// Applies whole `subjects` records that this program has encoded.
    mutating func apply(records: UnsafeRawBufferPointer) {
        do throws(WireError) {
            try take(records)
        } catch {
            preconditionFailure("our own dictionary record: \(error)")
        }
    }

    private mutating func take(_ records: UnsafeRawBufferPointer) throws(WireError) {
        var offset = 0
        while offset < records.count {
            let rest = UnsafeRawBufferPointer(rebasing: records[offset...])
            guard
                case .record(.subjects, _, let payload, let end) = try Record.parse(
                    rest, payloadLimit: Int.max)
            else { throw .malformed(what: "subjects record", offset: offset) }
            let changes = try DictionaryCodec.decode(
                UnsafeRawBufferPointer(rebasing: rest[payload]))
            for change in changes { apply(change) }
            offset += end
        }
    }

    /// Appends `subjects` records that build this dictionary from nothing.
    func encode(into bytes: inout [UInt8]) {
        var payload: [UInt8] = []
        let additions = subjects.values.sorted { $0.order < $1.order }.map(\.bytes)
        let definitions = schemas.sorted { $0.key < $1.key }.map(\.value)
        for change in definitions + additions {
            Self.flush(&payload, ifMoreThan: Self.recordByteCount - change.count, into: &bytes)
            payload.append(contentsOf: change)
        }
        Self.flush(&payload, ifMoreThan: 0, into: &bytes)
    }

    /// Appends `subjects` records with these changes; nothing when there are none.
    static func encode(_ changes: [SubjectChange], into bytes: inout [UInt8]) {
        var payload: [UInt8] = []
        for change in changes {
            DictionaryCodec.encode(change, into: &payload)
            flush(&payload, ifMoreThan: recordByteCount, into: &bytes)
        }
        flush(&payload, ifMoreThan: 0, into: &bytes)
    }

    private static func flush(
        _ payload: inout [UInt8], ifMoreThan limit: Int, into bytes: inout [UInt8]
    ) {
        guard !payload.isEmpty, payload.count > limit else { return }
        payload.withUnsafeBytes { Record.encode(type: .subjects, payload: $0, into: &bytes) }
        payload.removeAll(keepingCapacity: true)
    }

    private static func bytes(of change: SubjectChange) -> [UInt8] {
        var bytes: [UInt8] = []
        DictionaryCodec.encode(change, into: &bytes)
        return bytes
    }
}
