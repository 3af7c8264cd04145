/// What the dictionary says of a subject, without a string: its attributes are one run of bytes.
///
/// They are in the order of their numbers, each as number, form (`DictionaryCodec.TextForm`), length (two
/// bytes, least significant first) and bytes. Valid as long as the memory of the run is.
public struct PackedSubject {
    public let kind: SubjectKind
    /// The slot of what it belongs to; `nil` for the node itself.
    public let parent: Slot?
    /// When it started, milliseconds since the epoch; 0 where nobody knows.
    public let startTimeMilliseconds: Int64
    public let attributes: PackedAttributes

    public init(
        kind: SubjectKind, parent: Slot?, startTimeMilliseconds: Int64, attributes: PackedAttributes
    ) {
        self.kind = kind
        self.parent = parent
        self.startTimeMilliseconds = startTimeMilliseconds
        self.attributes = attributes
    }
}

/// One attribute of a packed subject.
public struct PackedAttribute {
    public let number: UInt8
    /// Of `DictionaryCodec.TextForm`, never `same`.
    public let form: UInt8
    public let bytes: UnsafeRawBufferPointer

    /// Bytes of its text.
    var textByteCount: Int {
        switch Int(form) {
        case DictionaryCodec.TextForm.utf8: bytes.count
        case DictionaryCodec.TextForm.uuid: 36
        default: 2 * bytes.count
        }
    }
}

/// Goes through the attributes of a packed subject.
public struct PackedAttributes: IteratorProtocol, Sequence {
    /// What was not gone through yet.
    public private(set) var bytes: UnsafeRawBufferPointer

    /// Bytes in front of each attribute's own.
    private static let headerByteCount = 4

    /// - Precondition: the bytes were put together by `append`, or there are none.
    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    @inline(__always)
    public mutating func next() -> PackedAttribute? {
        guard !bytes.isEmpty else { return nil }
        let start = Self.headerByteCount
        let end = start + (Int(bytes[2]) | Int(bytes[3]) << 8)
        defer { bytes = UnsafeRawBufferPointer(rebasing: bytes[end...]) }
        return PackedAttribute(
            number: bytes[0], form: bytes[1],
            bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    }

    /// Puts an attribute behind those with smaller numbers.
    ///
    /// - Precondition: its bytes are no more than two bytes can say; `WireLimits.attributeBytes` is less.
    public static func append(
        number: UInt8, form: UInt8, _ bytes: some Collection<UInt8>, to run: inout [UInt8]
    ) {
        precondition(bytes.count <= UInt16.max, "attribute of \(bytes.count) bytes")
        run.append(number)
        run.append(form)
        run.append(UInt8(bytes.count & 0xFF))
        run.append(UInt8(bytes.count >> 8))
        run.append(contentsOf: bytes)
    }
}

/// Writes one payload of subjects that are added, as `DictionaryCodec.encode` writes them.
public struct PackedDictionaryWriter {
    private var last: DictionaryCodec.Head?
    private var lastAttributes: [UInt8] = []

    public init() {}

    /// Appends a subject.
    public mutating func add(
        _ slot: Slot, _ schema: SchemaNumber, _ subject: PackedSubject, to bytes: inout [UInt8]
    ) {
        let head = DictionaryCodec.Head(
            slot: slot, schema: schema, kind: subject.kind, parent: subject.parent,
            startTimeMilliseconds: subject.startTimeMilliseconds)
        head.encode(after: last, into: &bytes)
        last = head
        Varint.append(UInt64(subject.attributes.reduce(0) { count, _ in count + 1 }), to: &bytes)
        lastAttributes.withUnsafeBytes { run in
            for attribute in subject.attributes {
                Self.append(attribute, after: PackedAttributes(run), to: &bytes)
            }
        }
        lastAttributes.removeAll(keepingCapacity: true)
        lastAttributes.append(contentsOf: subject.attributes.bytes)
    }

    private static func append(
        _ attribute: PackedAttribute, after last: PackedAttributes, to bytes: inout [UInt8]
    ) {
        bytes.append(attribute.number)
        let known = last.first { $0.number == attribute.number }
        if let known, known.form == attribute.form, known.bytes.elementsEqual(attribute.bytes) {
            bytes.append(UInt8(DictionaryCodec.TextForm.same))
        } else {
            Varint.append(UInt64(attribute.bytes.count * 4 + Int(attribute.form)), to: &bytes)
            bytes.append(contentsOf: attribute.bytes)
        }
    }
}

extension DictionaryCodec {
    /// Reads a payload of `PackedDictionaryWriter`'s.
    ///
    /// - Parameter body: gets each subject, valid during the call only.
    /// - Throws: as `decode`; `malformed` for anything but added subjects with their attributes in order.
    public static func visitAdded(
        _ payload: UnsafeRawBufferPointer, limits: WireLimits = WireLimits(),
        _ body: (Slot, SchemaNumber, PackedSubject) throws(WireError) -> Void
    ) throws(WireError) {
        var reader = ByteReader(payload)
        var last: Head?
        var (attributes, before): ([UInt8], [UInt8]) = ([], [])
        // Text that is repeated by reference counts as if it had been sent.
        var textBytes = 0
        while !reader.isAtEnd {
            let start = reader.offset
            guard let head = try Head(tag: try reader.byte(), &reader, after: last, limits) else {
                throw .malformed(what: "dictionary change", offset: start)
            }
            swap(&attributes, &before)
            attributes.removeAll(keepingCapacity: true)
            textBytes += try readAttributes(&reader, &attributes, after: before, limits)
            guard textBytes <= limits.dictionaryBytes else {
                throw .limitExceeded(
                    what: "dictionary bytes", actual: textBytes, limit: limits.dictionaryBytes)
            }
            let found = attributes.withUnsafeBytes { run in
                Result { () throws(WireError) in
                    try body(
                        head.slot, head.schema,
                        PackedSubject(
                            kind: head.kind, parent: head.parent,
                            startTimeMilliseconds: head.startTimeMilliseconds,
                            attributes: PackedAttributes(run)))
                }
            }
            try found.get()
            last = head
        }
    }

    /// - Returns: bytes of their texts.
    private static func readAttributes(
        _ reader: inout ByteReader, _ attributes: inout [UInt8], after before: [UInt8],
        _ limits: WireLimits
    ) throws(WireError) -> Int {
        var textBytes = 0
        var least = 0
        for _ in 0..<(try reader.count("attributes", limit: limits.attributesPerSubject)) {
            let number = try reader.byte()
            guard Int(number) >= least else {
                throw .malformed(what: "order of attributes", offset: reader.offset - 1)
            }
            least = Int(number) + 1
            let code = try reader.count("attribute bytes", limit: limits.attributeBytes * 4 + 3)
            let start = reader.offset
            let raw = try reader.take(code / 4)
            let form = code % 4
            let isValid =
                switch form {
                case TextForm.utf8: String(validating: raw, as: UTF8.self) != nil
                case TextForm.hexadecimal: true
                case TextForm.uuid: raw.count == 16
                default: raw.isEmpty
                }
            guard isValid else { throw .malformed(what: "text form", offset: start) }
            let first = attributes.count
            if form == TextForm.same {
                before.withUnsafeBytes { run in
                    guard let known = PackedAttributes(run).first(where: { $0.number == number })
                    else { return }
                    PackedAttributes.append(
                        number: number, form: known.form, known.bytes, to: &attributes)
                }
                guard attributes.count > first else {
                    throw .malformed(what: "text form", offset: start)
                }
            } else {
                PackedAttributes.append(number: number, form: UInt8(form), raw, to: &attributes)
            }
            let count = attributes.withUnsafeBytes { run in
                var added = PackedAttributes(UnsafeRawBufferPointer(rebasing: run[first...]))
                return added.next()?.textByteCount ?? 0
            }
            guard count <= limits.attributeBytes else {
                throw .limitExceeded(
                    what: "attribute bytes", actual: count, limit: limits.attributeBytes)
            }
            textBytes += count
        }
        return textBytes
    }
}
