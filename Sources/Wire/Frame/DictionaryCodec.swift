/// Dictionary records: a list of `SubjectChange`s as bytes. `docs/wire.md` has the format.
///
/// Pod UIDs and container IDs, which are hexadecimal text, go as the bytes they stand for. A subject
/// says only how it differs from the one added before it in the same payload.
public enum DictionaryCodec {
    fileprivate enum Tag {
        static let schema: UInt8 = 0
        static let add: UInt8 = 1
        static let remove: UInt8 = 2
        /// In the slot after the last one's, with its schema, kind and parent.
        static let addNext: UInt8 = 3
    }

    /// How an attribute's text is coded: the low two bits of its length.
    public enum TextForm {
        public static let utf8 = 0
        /// Lower-case hexadecimal digits, two a byte.
        public static let hexadecimal = 1
        /// 16 bytes: 8-4-4-4-12 lower-case hexadecimal digits with dashes.
        public static let uuid = 2
        /// The text that the subject before has for this attribute; the length is 0.
        static let same = 3
    }

    /// What a change that adds a subject says in front of its attributes.
    struct Head {
        let slot: Slot
        let schema: SchemaNumber
        let kind: SubjectKind
        let parent: Slot?
        let startTimeMilliseconds: Int64
    }

    /// The subject added last in a payload.
    private struct Last {
        let head: Head
        let subject: Subject
    }

    /// Appends changes. A list may be split over several payloads at any change, and a payload may be
    /// made of several lists.
    public static func encode(_ changes: [SubjectChange], into bytes: inout [UInt8]) {
        var last: Last?
        for change in changes { encode(change, after: &last, into: &bytes) }
    }

    /// Appends one change.
    public static func encode(_ change: SubjectChange, into bytes: inout [UInt8]) {
        encode([change], into: &bytes)
    }

    private static func encode(
        _ change: SubjectChange, after last: inout Last?, into bytes: inout [UInt8]
    ) {
        switch change {
        case .schema(let number, let schema):
            bytes.append(Tag.schema)
            Varint.append(UInt64(number), to: &bytes)
            schema.encode(into: &bytes)
        case .add(let slot, let number, let subject):
            let head = Head(
                slot: slot, schema: number, kind: subject.kind, parent: subject.parent,
                startTimeMilliseconds: subject.startTimeMilliseconds)
            head.encode(after: last?.head, into: &bytes)
            encode(subject.attributes, after: last?.subject, into: &bytes)
            last = Last(head: head, subject: subject)
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
        var last: Last?
        // Text that is repeated by reference counts as if it had been sent.
        var textBytes = 0
        while !reader.isAtEnd {
            let (change, head) = try decodeChange(&reader, after: last, limits)
            if case .add(_, _, let subject) = change, let head {
                last = Last(head: head, subject: subject)
                textBytes += subject.attributes.values.reduce(0) { $0 + $1.utf8.count }
                guard textBytes <= limits.dictionaryBytes else {
                    throw .limitExceeded(
                        what: "dictionary bytes", actual: textBytes,
                        limit: limits.dictionaryBytes)
                }
            }
            changes.append(change)
        }
        return changes
    }

    /// - Returns: the change, and what it begins with where it adds a subject.
    private static func decodeChange(
        _ reader: inout ByteReader, after last: Last?, _ limits: WireLimits
    ) throws(WireError) -> (SubjectChange, Head?) {
        let start = reader.offset
        let tag = try reader.byte()
        if let head = try Head(tag: tag, &reader, after: last?.head, limits) {
            var subject = Subject(kind: head.kind, parent: head.parent)
            subject.startTimeMilliseconds = head.startTimeMilliseconds
            subject.attributes = try decodeAttributes(&reader, after: last?.subject, limits)
            return (.add(head.slot, head.schema, subject), head)
        }
        switch tag {
        case Tag.schema:
            let number = try schemaNumber(&reader, limits)
            return (.schema(number, try Schema(reading: &reader, limits: limits)), nil)
        case Tag.remove:
            return (.remove(try slot(&reader, limits)), nil)
        default:
            throw .malformed(what: "dictionary change", offset: start)
        }
    }

    fileprivate static func slot(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> Slot {
        Slot(try reader.count("slot", limit: limits.subjects - 1))
    }

    fileprivate static func schemaNumber(
        _ reader: inout ByteReader, _ limits: WireLimits
    ) throws(WireError) -> SchemaNumber {
        SchemaNumber(try reader.count("schema number", limit: limits.schemas - 1))
    }

    private static func encode(
        _ attributes: [Subject.Attribute: String], after last: Subject?,
        into bytes: inout [UInt8]
    ) {
        Varint.append(UInt64(attributes.count), to: &bytes)
        for (attribute, text) in attributes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            bytes.append(attribute.rawValue)
            if last?.attributes[attribute] == text {
                bytes.append(UInt8(TextForm.same))
            } else {
                encode(text, into: &bytes)
            }
        }
    }

    private static func decodeAttributes(
        _ reader: inout ByteReader, after last: Subject?, _ limits: WireLimits
    ) throws(WireError) -> [Subject.Attribute: String] {
        var attributes: [Subject.Attribute: String] = [:]
        let count = try reader.count("attributes", limit: limits.attributesPerSubject)
        for _ in 0..<count {
            let attribute = Subject.Attribute(rawValue: try reader.byte())
            guard attributes[attribute] == nil else {
                throw .malformed(what: "repeated attribute", offset: reader.offset - 1)
            }
            attributes[attribute] = try decodeText(
                &reader, after: last?.attributes[attribute], limits)
        }
        return attributes
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
        _ reader: inout ByteReader, after last: String?, _ limits: WireLimits
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
        case TextForm.same where raw.isEmpty:
            guard let last else { throw .malformed(what: "text form", offset: start) }
            text = last
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

extension DictionaryCodec.Head {
    private typealias Tag = DictionaryCodec.Tag

    func encode(after last: Self?, into bytes: inout [UInt8]) {
        if let last, slot == last.slot &+ 1, schema == last.schema, kind == last.kind,
            parent == last.parent
        {
            bytes.append(Tag.addNext)
            Varint.append(
                signed: startTimeMilliseconds &- last.startTimeMilliseconds, to: &bytes)
        } else {
            bytes.append(Tag.add)
            Varint.append(UInt64(slot), to: &bytes)
            Varint.append(UInt64(schema), to: &bytes)
            bytes.append(kind.rawValue)
            Varint.append(parent.map { UInt64($0) + 1 } ?? 0, to: &bytes)
            Varint.append(signed: startTimeMilliseconds, to: &bytes)
        }
    }

    /// - Returns: `nil` for a change that adds nothing.
    init?(
        tag: UInt8, _ reader: inout ByteReader, after last: Self?, _ limits: WireLimits
    ) throws(WireError) {
        let start = reader.offset - 1
        switch tag {
        case Tag.add:
            slot = try DictionaryCodec.slot(&reader, limits)
            schema = try DictionaryCodec.schemaNumber(&reader, limits)
            guard let kind = SubjectKind(rawValue: try reader.byte()) else {
                throw .malformed(what: "subject kind", offset: reader.offset - 1)
            }
            self.kind = kind
            let parent = try reader.count("parent slot", limit: limits.subjects)
            self.parent = parent == 0 ? nil : Slot(parent - 1)
            startTimeMilliseconds = try reader.signedVarint()
        case Tag.addNext:
            guard let last else { throw .malformed(what: "dictionary change", offset: start) }
            guard Int(last.slot) + 1 < limits.subjects else {
                throw .limitExceeded(
                    what: "slot", actual: Int(last.slot) + 1, limit: limits.subjects - 1)
            }
            (slot, schema) = (last.slot + 1, last.schema)
            (kind, parent) = (last.kind, last.parent)
            startTimeMilliseconds = last.startTimeMilliseconds &+ (try reader.signedVarint())
        default: return nil
        }
    }
}
