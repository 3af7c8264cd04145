/// Reads a list of objects that arrives in pieces of any size: an apiserver's answer, or what
/// `kubectl get … -o json` prints. Keeps the objects that Heapwire uses, never the text.
///
/// A typed list (`PodList`) names no kind in its items and may name its own behind them; a `List` of
/// kubectl has items of any kinds that each name theirs. Other kinds are skipped and counted.
struct ObjectListReader: ~Copyable {
    /// What was in the list.
    struct Objects {
        var pods: [Pod] = []
        var nodes: [Node] = []
        var namespaces: [Namespace] = []
        var owned: [OwnedObject] = []
        /// Items of kinds that are not used.
        var others = 0
    }

    /// What the list says about itself.
    struct Envelope: Equatable {
        var kind = ""
        var resourceVersion = ""
        /// Where the next part of a list in parts begins; empty in the last.
        var continueToken = ""
    }

    private(set) var objects = Objects()
    private(set) var decoder: ObjectDecoder
    private var splitter = JSONSplitter(.items)
    private let itemKind: String?
    /// The offset of the first item that was taken for a pod because it named no kind.
    private var firstUnnamed: Int?

    /// - Parameter itemKind: the kind of items that name none; `nil` to learn it from the list.
    init(itemKind: String? = nil, decoder: ObjectDecoder = ObjectDecoder()) {
        self.itemKind = itemKind
        self.decoder = decoder
    }

    /// Ready for the next part of a list in parts; the objects so far stay.
    mutating func beginNextPage() { splitter = JSONSplitter(.items) }

    mutating func read(_ piece: UnsafeRawBufferPointer) throws(ObjectError) {
        var index = 0
        while let item = try nextItem(piece, &index) {
            try take(item.bytes, offset: item.offset)
        }
    }

    private mutating func nextItem(
        _ piece: UnsafeRawBufferPointer, _ index: inout Int
    ) throws(ObjectError) -> JSONSplitter.Item? {
        do {
            return try splitter.next(in: piece, at: &index)
        } catch {
            throw .json(error)
        }
    }

    /// To be called behind the last piece; checks the list as a whole.
    mutating func finish() throws(ObjectError) -> Envelope {
        let bytes: UnsafeRawBufferPointer
        var envelope: Envelope
        let hasItems: Bool
        do {
            bytes = try splitter.finish()
            (envelope, hasItems) = try Self.envelope(bytes)
        } catch {
            throw .json(error)
        }
        if !hasItems, !envelope.kind.isEmpty, !envelope.kind.hasSuffix("List") {
            // One object by itself, as `kubectl get pod NAME -o json` prints it.
            try take(bytes, offset: 0)
            return envelope
        }
        if let firstUnnamed, envelope.kind != "PodList" {
            throw .missing(field: "kind", kind: "object", offset: firstUnnamed)
        }
        return envelope
    }

    private mutating func take(
        _ bytes: UnsafeRawBufferPointer, offset: Int
    ) throws(ObjectError) {
        var kind: String
        if let itemKind {
            kind = itemKind
        } else {
            kind = try ObjectDecoder.kind(of: bytes, offset: offset)
            if kind.isEmpty {
                if firstUnnamed == nil { firstUnnamed = offset }
                kind = "Pod"
            }
        }
        switch kind {
        case "Pod": objects.pods.append(try decoder.pod(bytes, offset: offset))
        case "Node": objects.nodes.append(try decoder.node(bytes, offset: offset))
        case "Namespace": objects.namespaces.append(try decoder.namespace(bytes, offset: offset))
        case "ReplicaSet", "Job":
            objects.owned.append(try decoder.owned(bytes, kind: kind, offset: offset))
        default:
            try Self.check(bytes, offset: offset)
            objects.others += 1
        }
    }

    private static func check(
        _ bytes: UnsafeRawBufferPointer, offset: Int
    ) throws(ObjectError) {
        do {
            var json = JSONScanner(bytes, baseOffset: offset)
            try json.skip()
            try json.end()
        } catch {
            throw .json(error)
        }
    }

    private static func envelope(
        _ bytes: UnsafeRawBufferPointer
    ) throws(JSONError) -> (Envelope, hasItems: Bool) {
        var envelope = Envelope()
        var hasItems = false
        // Offsets behind the items would be wrong: the items are not in these bytes.
        var json = JSONScanner(bytes)
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "kind": envelope.kind = try json.string().string
            case "metadata": try readMetadata(&json, &envelope)
            case "items":
                hasItems = true
                // A list of nothing may be `null`.
                if try !json.takeNull() {
                    try json.beginArray()
                    while try json.nextElement() { try json.skip() }
                }
            default: try json.skip()
            }
        }
        try json.end()
        return (envelope, hasItems)
    }

    private static func readMetadata(
        _ json: inout JSONScanner, _ envelope: inout Envelope
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "resourceVersion": envelope.resourceVersion = try json.string().string
            case "continue": envelope.continueToken = try json.string().string
            default: try json.skip()
            }
        }
    }
}
