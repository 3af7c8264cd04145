/// Dictionary records: a list of `SubjectChange`s as bytes. `docs/wire.md` has the format.
///
/// Pod UIDs and container IDs, which are hexadecimal text, go as the bytes they stand for.
public enum DictionaryCodec {
    private enum Tag {
        static let schema: UInt8 = 0
        static let add: UInt8 = 1
        static let remove: UInt8 = 2
    }

    /// How an attribute's text is coded: the low two bits of its length.
    private enum TextForm {
        static let utf8 = 0
        /// Lower-case hexadecimal digits, two a byte.
        static let hexadecimal = 1
        /// 16 bytes: 8-4-4-4-12 lower-case hexadecimal digits with dashes.
        static let uuid = 2
    }

    /// Appends changes. A list may be split over several payloads at any change.
    public static func encode(_ changes: [SubjectChange], into bytes: inout [UInt8]) {
        for change in changes { encode(change, into: &bytes) }
    }

    /// Appends one change.
    public static func encode(_ change: SubjectChange, into bytes: inout [UInt8]) {
        switch change {
        case .schema(let number, let schema):
            bytes.append(Tag.schema)
            Varint.append(UInt64(number), to: &bytes)
            Varint.append(UInt64(schema.fields.count), to: &bytes)
            for field in schema.fields {
                Varint.append(UInt64(field.metric), to: &bytes)
                Varint.append(UInt64(field.granularity), to: &bytes)
            }
        case .add(let slot, let number, let subject):
            bytes.append(Tag.add)
            Varint.append(UInt64(slot), to: &bytes)
            Varint.append(UInt64(number), to: &bytes)
            encode(subject, into: &bytes)
        case .remove(let slot):
            bytes.append(Tag.remove)
            Varint.append(UInt64(slot), to: &bytes)
        }
    }

    /// Reads a whole payload.
    ///
    /// - Throws: `truncated`, `malformed`, `limitExceeded`. Whether the changes fit what is there
    ///   already is for `FrameLayout` to say.
    public static func decode(
        _ payload: UnsafeRawBufferPointer, limits: WireLimits = WireLimits()
    ) throws(WireError) -> [SubjectChange] {
        var reader = ByteReader(payload)
        var changes: [SubjectChange] = []
        while !reader.isAtEnd { changes.append(try decodeChange(&reader, limits)) }
        return changes
    }

    private static func decodeChange(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> SubjectChange {
        let start = reader.offset
        switch try reader.byte() {
        case Tag.schema:
            let number = try schemaNumber(&reader, limits)
            let count = try reader.count("fields of a schema", limit: limits.fieldsPerSchema)
            var fields: [SchemaField] = []
            for _ in 0..<count {
                let metric = try reader.count("metric number", limit: Int(UInt16.max))
                let granularity = try reader.count("granularity", limit: Int(UInt32.max))
                guard granularity > 0 else {
                    throw .malformed(what: "granularity", offset: reader.offset)
                }
                fields.append(
                    SchemaField(metric: UInt16(metric), granularity: UInt32(granularity)))
            }
            return .schema(number, Schema(fields))
        case Tag.add:
            let slot = try self.slot(&reader, limits)
            let number = try schemaNumber(&reader, limits)
            return .add(slot, number, try decodeSubject(&reader, limits))
        case Tag.remove:
            return .remove(try slot(&reader, limits))
        default:
            throw .malformed(what: "dictionary change", offset: start)
        }
    }

    private static func slot(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> Slot {
        Slot(try reader.count("slot", limit: limits.subjects - 1))
    }

    private static func schemaNumber(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> SchemaNumber {
        SchemaNumber(try reader.count("schema number", limit: limits.schemas - 1))
    }

    private static func encode(_ subject: Subject, into bytes: inout [UInt8]) {
        bytes.append(subject.kind.rawValue)
        Varint.append(subject.parent.map { UInt64($0) + 1 } ?? 0, to: &bytes)
        Varint.append(signed: subject.startTimeMilliseconds, to: &bytes)
        Varint.append(UInt64(subject.attributes.count), to: &bytes)
        for (attribute, text) in subject.attributes.sorted(by: { $0.key.rawValue < $1.key.rawValue }
        ) {
            bytes.append(attribute.rawValue)
            encode(text, into: &bytes)
        }
    }

    private static func decodeSubject(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> Subject {
        guard let kind = SubjectKind(rawValue: try reader.byte()) else {
            throw .malformed(what: "subject kind", offset: reader.offset - 1)
        }
        let parent = try reader.count("parent slot", limit: limits.subjects)
        var subject = Subject(
            kind: kind, parent: parent == 0 ? nil : Slot(parent - 1),
            startTimeMilliseconds: try reader.signedVarint())
        let count = try reader.count("attributes", limit: limits.attributesPerSubject)
        for _ in 0..<count {
            let attribute = Subject.Attribute(rawValue: try reader.byte())
            guard subject.attributes[attribute] == nil else {
                throw .malformed(what: "repeated attribute", offset: reader.offset - 1)
            }
            subject.attributes[attribute] = try decodeText(&reader, limits)
        }
        return subject
    }

    private static func encode(_ text: String, into bytes: inout [UInt8]) {
        if let packed = PackedHexadecimal(uuid: text) {
            Varint.append(UInt64(packed.bytes.count * 4 + TextForm.uuid), to: &bytes)
            bytes.append(contentsOf: packed.bytes)
        } else if let packed = PackedHexadecimal(digits: text) {
            Varint.append(UInt64(packed.bytes.count * 4 + TextForm.hexadecimal), to: &bytes)
            bytes.append(contentsOf: packed.bytes)
        } else {
            Varint.append(UInt64(text.utf8.count * 4 + TextForm.utf8), to: &bytes)
            bytes.append(contentsOf: text.utf8)
        }
    }

    private static func decodeText(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> String {
        let code = try reader.count("attribute bytes", limit: limits.attributeBytes * 4 + 3)
        let start = reader.offset
        let raw = try reader.take(code / 4)
        let text: String
        switch code % 4 {
        case TextForm.utf8:
            guard let valid = String(validating: raw, as: UTF8.self) else {
                throw .malformed(what: "UTF-8", offset: start)
            }
            text = valid
        case TextForm.hexadecimal:
            text = PackedHexadecimal(raw).digits
        case TextForm.uuid where raw.count == 16:
            text = PackedHexadecimal(raw).uuid
        default:
            throw .malformed(what: "text form", offset: start)
        }
        guard text.utf8.count <= limits.attributeBytes else {
            throw .limitExceeded(
                what: "attribute bytes", actual: text.utf8.count, limit: limits.attributeBytes)
        }
        return text
    }
}
