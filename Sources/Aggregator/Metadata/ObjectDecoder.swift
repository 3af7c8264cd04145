import Wire

/// Reads objects of Kubernetes from JSON, only the fields that Heapwire uses.
///
/// One decoder for a list or a watch: it shares texts between objects. Each method takes one whole
/// object; fields may come in any order, unknown ones are skipped. Not safe for several threads.
struct ObjectDecoder {
    var texts: StringInterner
    private var nodeNames: StringInterner
    private var labelSets: ValueInterner<LabelSet>
    private var owners: ValueInterner<OwnerReference>
    private var resources: ValueInterner<ContainerResources>
    private var labelScratch: [LabelSet.Label] = []
    /// Of the object that was read last; empty if it had none.
    private(set) var lastResourceVersion = ""
    /// The first quantity or time that is none; the object is refused when it has been read.
    private var firstInvalid: (field: String, value: String)?

    /// The fields that all objects have.
    struct Metadata {
        var namespace = ""
        var name = ""
        var uid = ObjectUID.text("")
        var labels = LabelSet.none
        var controller: OwnerReference?
        var configHash: ObjectUID?
        var isTerminating = false
        /// Only kept for nodes.
        var annotations: [String: String] = [:]
    }

    /// - Parameter textCount: texts that are remembered for sharing, 16 bytes each.
    init(textCount: Int = 1 << 16) {
        texts = StringInterner(slotCount: textCount)
        nodeNames = StringInterner(slotCount: textCount / 8)
        labelSets = ValueInterner(slotCount: textCount / 16)
        owners = ValueInterner(slotCount: textCount / 16)
        resources = ValueInterner(slotCount: textCount / 16)
    }

    /// `metadata.resourceVersion` of any object; nothing else is needed to be there.
    mutating func resourceVersion(
        _ bytes: UnsafeRawBufferPointer, offset: Int = 0
    ) throws(ObjectError) -> String {
        lastResourceVersion = ""
        do {
            var json = JSONScanner(bytes, baseOffset: offset)
            _ = try metadataOnly(&json)
            try json.end()
        } catch {
            throw .json(error)
        }
        return lastResourceVersion
    }

    /// `kind` of an object; empty if it has none, as in the items of a typed list.
    static func kind(of bytes: UnsafeRawBufferPointer, offset: Int) throws(ObjectError) -> String {
        do {
            var json = JSONScanner(bytes, baseOffset: offset)
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "kind": return try json.string().string
                default: try json.skip()
                }
            }
            return ""
        } catch {
            throw .json(error)
        }
    }

    /// Reads one object and checks that nothing follows and that it has a name and a UID.
    private mutating func whole<Value>(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ kind: String,
        _ read: (inout Self, inout JSONScanner) throws(JSONError) -> (Metadata, Value)
    ) throws(ObjectError) -> Value {
        firstInvalid = nil
        lastResourceVersion = ""
        let metadata: Metadata
        let value: Value
        do {
            var json = JSONScanner(bytes, baseOffset: offset)
            (metadata, value) = try read(&self, &json)
            try json.end()
        } catch {
            throw .json(error)
        }
        for (field, isMissing) in [
            ("metadata.name", metadata.name.isEmpty), ("metadata.uid", metadata.uid.isEmpty),
        ] where isMissing {
            throw .missing(field: field, kind: kind, offset: offset)
        }
        if let firstInvalid {
            let name =
                metadata.namespace.isEmpty
                ? metadata.name : "\(metadata.namespace)/\(metadata.name)"
            throw .invalid(
                field: firstInvalid.field, value: firstInvalid.value, kind: kind, name: name)
        }
        return value
    }

    mutating func pod(
        _ bytes: UnsafeRawBufferPointer, offset: Int = 0
    ) throws(ObjectError) -> Pod {
        try whole(bytes, offset, "Pod") { decoder, json throws(JSONError) in
            var reader = PodReader()
            let metadata = try reader.read(&json, &decoder)
            return (metadata, Pod(reader.pod))
        }
    }

    mutating func namespace(
        _ bytes: UnsafeRawBufferPointer, offset: Int = 0
    ) throws(ObjectError) -> Namespace {
        try whole(bytes, offset, "Namespace") { decoder, json throws(JSONError) in
            let metadata = try decoder.metadataOnly(&json)
            return (metadata, Namespace(name: metadata.name, uid: metadata.uid))
        }
    }

    /// A replica set or job.
    mutating func owned(
        _ bytes: UnsafeRawBufferPointer, kind: String, offset: Int = 0
    ) throws(ObjectError) -> OwnedObject {
        try whole(bytes, offset, kind) { decoder, json throws(JSONError) in
            let metadata = try decoder.metadataOnly(&json)
            return (
                metadata,
                OwnedObject(
                    kind: kind, namespace: metadata.namespace, name: metadata.name,
                    uid: metadata.uid, controller: metadata.controller)
            )
        }
    }

    mutating func node(
        _ bytes: UnsafeRawBufferPointer, offset: Int = 0
    ) throws(ObjectError) -> Node {
        try whole(bytes, offset, "Node") { decoder, json throws(JSONError) in
            try NodeReader.read(&json, &decoder)
        }
    }

    private mutating func metadataOnly(_ json: inout JSONScanner) throws(JSONError) -> Metadata {
        var metadata = Metadata()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "metadata": metadata = try self.metadata(&json)
            default: try json.skip()
            }
        }
        return metadata
    }

    // MARK: Parts of objects

    /// `metadata`. Annotations are kept only if asked for, and then those of up to 256 bytes.
    mutating func metadata(
        _ json: inout JSONScanner, keepingAnnotations: Bool = false
    ) throws(JSONError) -> Metadata {
        var metadata = Metadata()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "name": metadata.name = try json.string().string
            case "namespace": metadata.namespace = texts.string(try json.string())
            case "uid": metadata.uid = try json.string().withUTF8 { ObjectUID(utf8: $0) }
            case "resourceVersion": lastResourceVersion = try json.string().string
            case "labels": metadata.labels = try labels(&json)
            case "annotations": try annotations(&json, &metadata, keepingAnnotations)
            case "ownerReferences": metadata.controller = try controller(&json)
            case "deletionTimestamp": metadata.isTerminating = try !takeNullOrSkip(&json)
            default: try json.skip()
            }
        }
        return metadata
    }

    /// Whether the value was `null`.
    private func takeNullOrSkip(_ json: inout JSONScanner) throws(JSONError) -> Bool {
        if try json.takeNull() { return true }
        try json.skip()
        return false
    }

    private mutating func labels(_ json: inout JSONScanner) throws(JSONError) -> LabelSet {
        if try json.takeNull() { return .none }
        labelScratch.removeAll(keepingCapacity: true)
        try json.beginObject()
        while let key = try json.nextKey() {
            let name = texts.string(key)
            labelScratch.append(LabelSet.Label(key: name, value: texts.string(try json.string())))
        }
        return labelScratch.isEmpty ? .none : labelSets.value(LabelSet(labelScratch))
    }

    private mutating func annotations(
        _ json: inout JSONScanner, _ metadata: inout Metadata, _ keepsAll: Bool
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "kubernetes.io/config.hash" where !keepsAll:
                metadata.configHash = try json.string().withUTF8 { ObjectUID(utf8: $0) }
            case _ where keepsAll:
                let name = texts.string(key)
                let value = try json.string()
                if value.raw.count <= 256 { metadata.annotations[name] = texts.string(value) }
            default: try json.skip()
            }
        }
    }

    /// Of `ownerReferences` the one with `controller` set.
    private mutating func controller(
        _ json: inout JSONScanner
    ) throws(JSONError) -> OwnerReference? {
        if try json.takeNull() { return nil }
        var found: OwnerReference?
        try json.beginArray()
        while try json.nextElement() {
            var (kind, name, uid, isController) = ("", "", ObjectUID.text(""), false)
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "kind": kind = texts.string(try json.string())
                case "name": name = texts.string(try json.string())
                case "uid": uid = try json.string().withUTF8 { ObjectUID(utf8: $0) }
                case "controller":
                    if try !json.takeNull() { isController = try json.boolean() }
                default: try json.skip()
                }
            }
            if isController {
                found = owners.value(OwnerReference(kind: kind, name: name, uid: uid))
            }
        }
        return found
    }

    /// A map of resource names to quantities. Numbers are taken where a string should be: hand-written
    /// files have `cpu: 1`.
    mutating func amounts(
        _ json: inout JSONScanner, field: StaticString
    ) throws(JSONError) -> ResourceAmounts {
        var amounts = ResourceAmounts()
        if try json.takeNull() { return amounts }
        try json.beginObject()
        while let key = try json.nextKey() {
            let name = texts.string(key)
            let raw: JSONText =
                try json.peek() == UInt8(ascii: "\"")
                ? try json.string() : JSONText(raw: try json.number().raw, isEscaped: false)
            if let quantity = raw.withUTF8({ Quantity(utf8: $0) }) {
                amounts.set(name, to: quantity)
            } else {
                noteInvalid("\(field).\(name)", raw)
            }
        }
        return amounts
    }

    mutating func shared(_ requests: ResourceAmounts, _ limits: ResourceAmounts)
        -> ContainerResources
    {
        resources.value(ContainerResources(requests: requests, limits: limits))
    }

    /// Milliseconds since the epoch; 0 for `null`.
    mutating func time(
        _ json: inout JSONScanner, field: StaticString
    ) throws(JSONError) -> Int64 {
        if try json.takeNull() { return 0 }
        let text = try json.string()
        if let time = text.withUTF8({ RFC3339.milliseconds(parsing: $0) }) { return time }
        noteInvalid(field.description, text)
        return 0
    }

    mutating func nodeName(_ text: JSONText) -> String { nodeNames.string(text) }

    private mutating func noteInvalid(_ field: String, _ value: JSONText) {
        if firstInvalid == nil { firstInvalid = (field, String(value.string.prefix(64))) }
    }
}
