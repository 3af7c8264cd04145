import Wire

/// A change and when it was seen, milliseconds since the epoch.
struct TimedChange: Sendable, Equatable {
    var time: Int64
    var change: MetadataChange
}

/// Writes changes of the directory as bytes, for the durable log: one change as it happens, or the
/// whole directory in pieces (`DirectorySnapshot`). Each piece stands alone.
///
/// ```
/// version (1) | strings: count, (length, UTF-8)… | count of changes | changes
/// change:  kind | time, signed, less the one before | length | body
/// ```
/// Counts, lengths and references are varints. Texts are references to the strings; labels, owners
/// and resources that were written before in the same piece are references too, which is where the
/// pods of one workload become small: about 140 bytes each. A reader skips kinds it does not know.
struct MetadataEncoder {
    /// The version of the layout. Raised when an old reader would misunderstand.
    static let version: UInt8 = 1

    /// Raw values are in files and never change.
    enum Kind: UInt8 {
        case pod = 1
        case podRemoved = 2
        case node = 3
        case nodeRemoved = 4
        case namespace = 5
        case namespaceRemoved = 6
        case owned = 7
        case ownedRemoved = 8
    }

    private var stringBytes: [UInt8] = []
    private var strings: [String: Int] = [:]
    private var labelSets: [LabelSet: Int] = [:]
    private var owners: [OwnerReference: Int] = [:]
    private var resources: [ContainerResources: Int] = [:]
    private var changes: [UInt8] = []
    private var changeCount = 0
    private var lastTime: Int64 = 0

    /// Bytes so far, about.
    var byteCount: Int { stringBytes.count + changes.count + 16 }
    var isEmpty: Bool { changeCount == 0 }

    /// One change by itself.
    static func encode(_ change: MetadataChange, time: Int64) -> [UInt8] {
        var encoder = MetadataEncoder()
        encoder.append(TimedChange(time: time, change: change))
        return encoder.finish()
    }

    /// The piece; the encoder is empty again.
    mutating func finish() -> [UInt8] {
        var bytes = [Self.version]
        bytes.reserveCapacity(byteCount)
        Varint.append(UInt64(strings.count), to: &bytes)
        bytes += stringBytes
        Varint.append(UInt64(changeCount), to: &bytes)
        bytes += changes
        self = MetadataEncoder()
        return bytes
    }

    mutating func append(_ timed: TimedChange) {
        var body: [UInt8] = []
        let kind: Kind
        switch timed.change {
        case .pod(let pod):
            kind = .pod
            put(pod, &body)
        case .podRemoved(let uid):
            kind = .podRemoved
            put(uid, &body)
        case .node(let node):
            kind = .node
            put(node, &body)
        case .nodeRemoved(let name):
            kind = .nodeRemoved
            put(name, &body)
        case .namespace(let namespace):
            kind = .namespace
            put(namespace.name, &body)
            put(namespace.uid, &body)
        case .namespaceRemoved(let name):
            kind = .namespaceRemoved
            put(name, &body)
        case .owned(let object):
            kind = .owned
            for text in [object.kind, object.namespace, object.name] { put(text, &body) }
            put(object.uid, &body)
            put(object.controller, &body)
        case .ownedRemoved(let uid):
            kind = .ownedRemoved
            put(uid, &body)
        }
        changes.append(kind.rawValue)
        Varint.append(signed: timed.time &- lastTime, to: &changes)
        lastTime = timed.time
        Varint.append(UInt64(body.count), to: &changes)
        changes += body
        changeCount += 1
    }

    // MARK: Parts

    private mutating func put(_ text: String, _ body: inout [UInt8]) {
        if let known = strings[text] { return Varint.append(UInt64(known), to: &body) }
        let number = strings.count
        strings[text] = number
        Varint.append(UInt64(text.utf8.count), to: &stringBytes)
        stringBytes.append(contentsOf: text.utf8)
        Varint.append(UInt64(number), to: &body)
    }

    private mutating func put(_ uid: ObjectUID, _ body: inout [UInt8]) {
        switch uid {
        case .uuid(let high, let low):
            body.append(0)
            Self.put([high, low], &body)
        case .digest(let high, let low):
            body.append(1)
            Self.put([high, low], &body)
        case .text(let text):
            body.append(2)
            put(text, &body)
        }
    }

    private mutating func put(_ id: ContainerID, _ body: inout [UInt8]) {
        switch id {
        case .digest(let a, let b, let c, let d):
            body.append(1)
            Self.put([a, b, c, d], &body)
        case .text(let text):
            body.append(2)
            put(text, &body)
        }
    }

    /// Least significant byte first.
    private static func put(_ words: [UInt64], _ body: inout [UInt8]) {
        for word in words {
            for shift: UInt64 in stride(from: 0, to: 64, by: 8) {
                body.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
    }

    /// 0 and the thing itself, or its number among those before, plus one.
    private mutating func reference<Thing: Hashable>(
        _ thing: Thing, in table: WritableKeyPath<Self, [Thing: Int]>, _ body: inout [UInt8]
    ) -> Bool {
        if let known = self[keyPath: table][thing] {
            Varint.append(UInt64(known) + 1, to: &body)
            return true
        }
        self[keyPath: table][thing] = self[keyPath: table].count
        Varint.append(0, to: &body)
        return false
    }

    private mutating func put(_ labels: LabelSet, _ body: inout [UInt8]) {
        if reference(labels, in: \.labelSets, &body) { return }
        Varint.append(UInt64(labels.labels.count), to: &body)
        for label in labels.labels {
            put(label.key, &body)
            put(label.value, &body)
        }
    }

    private mutating func put(_ owner: OwnerReference?, _ body: inout [UInt8]) {
        guard let owner else { return body.append(0) }
        body.append(1)
        if reference(owner, in: \.owners, &body) { return }
        put(owner.kind, &body)
        put(owner.name, &body)
        put(owner.uid, &body)
    }

    private mutating func put(_ found: ContainerResources, _ body: inout [UInt8]) {
        if reference(found, in: \.resources, &body) { return }
        put(found.requests, &body)
        put(found.limits, &body)
    }

    /// Bits of what is there, the amounts, and the others by name.
    private mutating func put(_ amounts: ResourceAmounts, _ body: inout [UInt8]) {
        let known = [amounts.cpuMillicores, amounts.memoryBytes, amounts.ephemeralStorageBytes]
        var present: UInt8 = 0
        for (bit, amount) in known.enumerated() where amount != nil { present |= 1 << UInt8(bit) }
        body.append(present)
        for case let amount? in known { Varint.append(signed: amount, to: &body) }
        Varint.append(UInt64(amounts.others.count), to: &body)
        for other in amounts.others {
            put(other.name, &body)
            Varint.append(signed: other.value, to: &body)
        }
    }

    // MARK: Objects

    private mutating func put(_ pod: Pod, _ body: inout [UInt8]) {
        put(pod.namespace, &body)
        put(pod.name, &body)
        put(pod.uid, &body)
        put(pod.nodeName, &body)
        put(pod.labels, &body)
        put(pod.controller, &body)
        Varint.append(signed: pod.startTimeMilliseconds, to: &body)
        body.append(pod.phase.rawValue)
        body.append(pod.qosClass.rawValue)
        var flags: UInt8 = pod.isHostNetwork ? 1 : 0
        if pod.isTerminating { flags |= 2 }
        if pod.configHash != nil { flags |= 4 }
        body.append(flags)
        if let hash = pod.configHash { put(hash, &body) }
        Varint.append(UInt64(pod.containers.count), to: &body)
        for container in pod.containers { put(container, &body) }
    }

    private mutating func put(_ container: Pod.Container, _ body: inout [UInt8]) {
        put(container.name, &body)
        put(container.image, &body)
        put(container.resources, &body)
        put(container.id, &body)
        Varint.append(signed: container.startedMilliseconds, to: &body)
        Varint.append(signed: Int64(container.restartCount), to: &body)
        var flags = container.role.rawValue
        if container.isReady { flags |= 16 }
        if container.isRunning { flags |= 32 }
        body.append(flags)
    }

    private mutating func put(_ node: Node, _ body: inout [UInt8]) {
        put(node.name, &body)
        put(node.uid, &body)
        put(node.labels, &body)
        Varint.append(UInt64(node.annotations.count), to: &body)
        for (key, value) in node.annotations.sorted(by: { $0.key < $1.key }) {
            put(key, &body)
            put(value, &body)
        }
        for text in [
            node.externalID, node.internalIP, node.externalIP, node.hostnameAddress,
            node.kubeletVersion,
        ] { put(text, &body) }
        body.append(node.isUnschedulable ? 1 : 0)
        body.append(node.readiness.rawValue)
        put(node.capacity, &body)
        put(node.allocatable, &body)
    }
}
