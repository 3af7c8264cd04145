import Synchronization
import Wire

/// What the dictionary says of a subject, in as little memory as it takes: there are a million of
/// them, and most of it are identifiers, which are hexadecimal digits.
///
/// The attributes are kept as `PackedAttributes`.
final class SubjectIdentity: @unchecked Sendable {
    let kind: SubjectKind
    private let byteCount: UInt32
    /// When it started, milliseconds since the epoch; 0 where nobody knows.
    let startTimeMilliseconds: Int64
    /// Never written again.
    private let memory: UnsafeMutablePointer<UInt8>

    /// How an attribute's text is kept: `DictionaryCodec.TextForm`.
    fileprivate enum Form: UInt8 {
        case text = 0
        /// An even number of lower-case hexadecimal digits, two a byte.
        case digits = 1
        /// As Kubernetes writes a UID: digits 8-4-4-4-12.
        case uuid = 2
    }

    convenience init(_ subject: Subject) {
        var bytes: [UInt8] = []
        for (attribute, text) in subject.attributes.sorted(by: { $0.key.rawValue < $1.key.rawValue }
        ) {
            var packed: [UInt8] = []
            let form = Self.pack(text, into: &packed)
            PackedAttributes.append(
                number: attribute.rawValue, form: form.rawValue, packed, to: &bytes)
        }
        self.init(subject.kind, subject.startTimeMilliseconds, bytes[...])
    }

    /// Copies what the dictionary says.
    convenience init(_ subject: PackedSubject) {
        self.init(subject.kind, subject.startTimeMilliseconds, subject.attributes.bytes)
    }

    private init(
        _ kind: SubjectKind, _ startTimeMilliseconds: Int64, _ bytes: some Collection<UInt8>
    ) {
        self.kind = kind
        self.startTimeMilliseconds = startTimeMilliseconds
        byteCount = UInt32(bytes.count)
        memory = .allocate(capacity: bytes.count)
        _ = UnsafeMutableBufferPointer(start: memory, count: bytes.count).initialize(from: bytes)
    }

    deinit { memory.deallocate() }

    var name: String { self[.name] ?? "" }
    var podUID: String { self[.podUID] ?? "" }
    var containerID: String { self[.containerID] ?? "" }

    /// The pause container that holds a pod's namespaces: not one of the pod's own containers.
    var isSandbox: Bool { self[.sandbox] == "sandbox" }

    /// An attribute's text, made anew; `nil` where the dictionary does not have it.
    subscript(attribute: Subject.Attribute) -> String? {
        withAttributes { attributes in
            while let part = attributes.next() {
                if part.number == attribute.rawValue {
                    return Self.unpack(part.bytes, Form(rawValue: part.form) ?? .text)
                }
            }
            return nil
        }
    }

    /// What the dictionary said, valid during the call only.
    ///
    /// - Parameter parent: the slot of what it belongs to, which is not kept here.
    func withPacked<Result>(parent: Slot?, _ body: (PackedSubject) -> Result) -> Result {
        withBytes { bytes in
            body(
                PackedSubject(
                    kind: kind, parent: parent, startTimeMilliseconds: startTimeMilliseconds,
                    attributes: PackedAttributes(bytes)))
        }
    }

    /// Whether an attribute has that text: no string is made.
    func has(_ attribute: Subject.Attribute, _ text: PackedText) -> Bool {
        withAttributes { attributes in
            while let part = attributes.next() {
                if part.number == attribute.rawValue {
                    return part.form == text.form.rawValue
                        && part.bytes.elementsEqual(text.bytes)
                }
            }
            return false
        }
    }

    @inline(__always)
    private func withAttributes<Result>(_ body: (inout PackedAttributes) -> Result) -> Result {
        withBytes { bytes in
            var attributes = PackedAttributes(bytes)
            return body(&attributes)
        }
    }

    func has(_ attribute: Subject.Attribute) -> Bool {
        withAttributes { attributes in attributes.contains { $0.number == attribute.rawValue } }
    }

    /// A text in the form in which attributes are kept.
    struct PackedText: Sendable {
        fileprivate let form: Form
        fileprivate let bytes: [UInt8]

        init(_ text: String) {
            var bytes: [UInt8] = []
            form = SubjectIdentity.pack(text, into: &bytes)
            self.bytes = bytes
        }
    }

    private var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: memory, count: Int(byteCount))
    }

    private func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withExtendedLifetime(self) { body(bytes) }
    }
}

extension SubjectIdentity: Hashable {
    static func == (one: SubjectIdentity, other: SubjectIdentity) -> Bool {
        if one === other { return true }
        guard one.kind == other.kind, one.startTimeMilliseconds == other.startTimeMilliseconds
        else { return false }
        return one.withBytes { bytes in other.withBytes { bytes.elementsEqual($0) } }
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(startTimeMilliseconds)
        withBytes { hasher.combine(bytes: $0) }
    }
}

extension SubjectIdentity {
    /// The labels that tell a child from its siblings, in Heapster's names.
    var childLabels: [String: String] {
        switch kind {
        case .filesystem: ["resource_id": filesystemResource]
        case .blockDevice: ["resource_id": name]
        case .networkInterface: ["interface": name]
        case .hugePages: ["page_size": name]
        case .accelerator:
            [
                "make": self[.make] ?? "",
                "model": self[.model] ?? "",
                "accelerator_id": self[.identifier] ?? "",
            ]
        default: [:]
        }
    }

    private var filesystemResource: String {
        switch self[.role] {
        case "volume": "Volume:\(name)"
        case "rootfs": "/"
        case "logs": "logs"
        default: name
        }
    }

    // MARK: Text as bytes

    /// Where a UID has its dashes.
    private static let dashes = [8, 13, 18, 23]

    private static func pack(_ text: String, into bytes: inout [UInt8]) -> Form {
        let utf8 = Array(text.utf8)
        if utf8.count == 36, dashes.allSatisfy({ utf8[$0] == UInt8(ascii: "-") }) {
            let digits = utf8.indices.filter { !dashes.contains($0) }.map { utf8[$0] }
            if packDigits(digits, into: &bytes) { return .uuid }
        }
        if packDigits(utf8, into: &bytes) { return .digits }
        bytes = utf8
        return .text
    }

    private static func packDigits(_ digits: [UInt8], into bytes: inout [UInt8]) -> Bool {
        bytes.removeAll()
        guard !digits.isEmpty, digits.count.isMultiple(of: 2) else { return false }
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(of: digits[index]), let low = value(of: digits[index + 1])
            else { return false }
            bytes.append(high << 4 | low)
        }
        return true
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    private static func unpack(_ bytes: UnsafeRawBufferPointer, _ form: Form) -> String {
        guard form != .text else { return String(decoding: bytes, as: UTF8.self) }
        let count = 2 * bytes.count + (form == .uuid ? dashes.count : 0)
        return String(unsafeUninitializedCapacity: count) { text in
            var end = 0
            for byte in bytes {
                if form == .uuid, dashes.contains(end) {
                    text[end] = UInt8(ascii: "-")
                    end += 1
                }
                text[end] = digit(byte >> 4)
                text[end + 1] = digit(byte & 15)
                end += 2
            }
            return end
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}

/// Lets things that say the same share the memory of it, over all nodes: children of pods and
/// containers (`eth0`, a block device) are alike, and nodes of one version have the same schemas.
///
/// Used where the dictionary changes; the lock is not on the way of a frame.
final class ModelInterner: Sendable {
    /// For the decoders.
    let plans = SchemaPlans()
    private let state = Mutex(State())

    private struct State {
        var identities: Set<SubjectIdentity> = []
        var schemas: [Schema: SharedSchema] = [:]
    }

    /// Names that came and went must not pile up; beyond it they are shared anew.
    private static let countMax = 4_096

    /// The identity of a subject, the known one if there is an equal one. What belongs to a pod or
    /// has a start time is hardly ever equal to anything.
    func identity(of subject: Subject) -> SubjectIdentity { share(SubjectIdentity(subject)) }

    func identity(of subject: PackedSubject) -> SubjectIdentity {
        share(SubjectIdentity(subject))
    }

    private func share(_ identity: SubjectIdentity) -> SubjectIdentity {
        guard identity.startTimeMilliseconds == 0, !identity.has(.podUID) else { return identity }
        return state.withLock { state in
            let (inserted, member) = state.identities.insert(identity)
            if inserted, state.identities.count > Self.countMax { state.identities = [] }
            return member
        }
    }

    func schema(_ schema: Schema) -> SharedSchema {
        state.withLock { state in
            if let known = state.schemas[schema] { return known }
            if state.schemas.count >= Self.countMax { state.schemas = [:] }
            let made = SharedSchema(schema)
            state.schemas[schema] = made
            return made
        }
    }
}

/// A schema and what follows from it, one for all subjects of all nodes.
final class SharedSchema: Sendable {
    let schema: Schema
    let plan: Rates.Plan
    let columns: MetricColumns
    /// The catalogue's metrics among the columns, rates included. Numbers of a newer catalogue have no
    /// name here.
    let metrics: MetricIDSet

    init(_ schema: Schema) {
        self.schema = schema
        plan = Rates.Plan(schema)
        columns = MetricColumns(
            schema: schema,
            rates: Rates.pairs.filter { schema.column(of: $0.counter) != nil }.map(\.rate))
        var metrics = MetricIDSet(schema.fields.lazy.compactMap { MetricID(rawValue: $0.metric) })
        for pair in Rates.pairs where metrics.contains(pair.counter) { metrics.insert(pair.rate) }
        self.metrics = metrics
    }

    var fields: [SchemaField] { schema.fields }

    func column(of metric: MetricID) -> Int? { schema.column(of: metric) }
}
