import Wire

/// Reads what `MetadataEncoder` wrote. Never traps, whatever the bytes; nothing is reserved that the
/// bytes have not paid for.
///
/// One decoder for many pieces shares texts, labels and owners between them. Not for several threads.
struct MetadataDecoder {
    private var texts = StringInterner(slotCount: 1 << 14)
    private var sharedLabels = ValueInterner<LabelSet>(slotCount: 1 << 12)
    private var sharedOwners = ValueInterner<OwnerReference>(slotCount: 1 << 12)
    private var sharedResources = ValueInterner<ContainerResources>(slotCount: 1 << 12)

    /// Counts are believed only so far before what they count has come.
    private static let reservedCountMax = 4_096

    /// A piece that is being read.
    private struct Piece {
        var strings: [String] = []
        var labelSets: [LabelSet] = []
        var owners: [OwnerReference] = []
        var resources: [ContainerResources] = []
    }

    init() {}

    /// All changes of a piece, in their order.
    ///
    /// - Throws: `truncated`, `malformed`, `limitExceeded`, `unsupportedVersion`: the piece is then
    ///   worth nothing as a whole.
    mutating func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> [TimedChange] {
        var reader = ByteReader(payload)
        let version = try reader.byte()
        guard version == MetadataEncoder.version else {
            throw .unsupportedVersion(ours: MetadataEncoder.version, theirs: version)
        }
        var piece = Piece()
        let stringCount = try reader.count("strings", limit: reader.remaining)
        piece.strings.reserveCapacity(min(stringCount, Self.reservedCountMax))
        for _ in 0..<stringCount {
            let bytes = try reader.take(try reader.count("string", limit: reader.remaining))
            guard bytes.isEmpty || String(validating: bytes, as: UTF8.self) != nil else {
                throw .malformed(what: "text", offset: reader.offset)
            }
            piece.strings.append(texts.string(utf8: bytes))
        }
        var changes: [TimedChange] = []
        let changeCount = try reader.count("changes", limit: reader.remaining)
        changes.reserveCapacity(min(changeCount, Self.reservedCountMax))
        var time: Int64 = 0
        for _ in 0..<changeCount {
            let kind = try reader.byte()
            time &+= try reader.signedVarint()
            let body = try reader.take(try reader.count("change", limit: reader.remaining))
            guard let kind = MetadataEncoder.Kind(rawValue: kind) else { continue }
            var fields = ByteReader(body)
            changes.append(TimedChange(time: time, change: try change(kind, &fields, &piece)))
            guard fields.isAtEnd else {
                throw .malformed(what: "change with something behind it", offset: reader.offset)
            }
        }
        guard reader.isAtEnd else {
            throw .malformed(what: "end of the changes", offset: reader.offset)
        }
        return changes
    }

    private mutating func change(
        _ kind: MetadataEncoder.Kind, _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> MetadataChange {
        switch kind {
        case .pod: return .pod(try pod(&reader, &piece))
        case .podRemoved: return .podRemoved(try uid(&reader, piece))
        case .node: return .node(try node(&reader, &piece))
        case .nodeRemoved: return .nodeRemoved(name: try text(&reader, piece))
        case .namespace:
            return .namespace(
                Namespace(name: try text(&reader, piece), uid: try uid(&reader, piece)))
        case .namespaceRemoved: return .namespaceRemoved(name: try text(&reader, piece))
        case .owned:
            return .owned(
                OwnedObject(
                    kind: try text(&reader, piece), namespace: try text(&reader, piece),
                    name: try text(&reader, piece), uid: try uid(&reader, piece),
                    controller: try owner(&reader, &piece)))
        case .ownedRemoved: return .ownedRemoved(try uid(&reader, piece))
        }
    }

    // MARK: Parts

    private func text(_ reader: inout ByteReader, _ piece: Piece) throws(WireError) -> String {
        let number = try reader.varint()
        guard number < UInt64(piece.strings.count) else {
            throw .malformed(what: "reference to a text", offset: reader.offset)
        }
        return piece.strings[Int(number)]
    }

    private func word(_ reader: inout ByteReader) throws(WireError) -> UInt64 {
        UInt64(littleEndian: try reader.take(8).loadUnaligned(as: UInt64.self))
    }

    private func uid(_ reader: inout ByteReader, _ piece: Piece) throws(WireError) -> ObjectUID {
        switch try reader.byte() {
        case 0: return .uuid(try word(&reader), try word(&reader))
        case 1: return .digest(try word(&reader), try word(&reader))
        // By its text, so that equal UIDs are equal however they were written.
        case 2: return ObjectUID(try text(&reader, piece))
        default: throw .malformed(what: "kind of a UID", offset: reader.offset)
        }
    }

    private func containerID(
        _ reader: inout ByteReader, _ piece: Piece
    ) throws(WireError) -> ContainerID {
        switch try reader.byte() {
        case 1:
            return .digest(
                try word(&reader), try word(&reader), try word(&reader), try word(&reader))
        case 2: return ContainerID(try text(&reader, piece))
        default: throw .malformed(what: "kind of a container ID", offset: reader.offset)
        }
    }

    /// The number of a thing that was read before; `nil` for a new one, which follows.
    private func reference(
        _ reader: inout ByteReader, count: Int
    ) throws(WireError) -> Int? {
        let number = try reader.varint()
        guard number <= UInt64(count) else {
            throw .malformed(what: "reference to a thing", offset: reader.offset)
        }
        return number == 0 ? nil : Int(number) - 1
    }

    private mutating func labels(
        _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> LabelSet {
        if let known = try reference(&reader, count: piece.labelSets.count) {
            return piece.labelSets[known]
        }
        var labels: [LabelSet.Label] = []
        for _ in 0..<(try reader.count("labels", limit: reader.remaining)) {
            labels.append(
                LabelSet.Label(key: try text(&reader, piece), value: try text(&reader, piece)))
        }
        let made = labels.isEmpty ? .none : sharedLabels.value(LabelSet(labels))
        piece.labelSets.append(made)
        return made
    }

    private mutating func owner(
        _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> OwnerReference? {
        guard try reader.byte() != 0 else { return nil }
        if let known = try reference(&reader, count: piece.owners.count) {
            return piece.owners[known]
        }
        let made = sharedOwners.value(
            OwnerReference(
                kind: try text(&reader, piece), name: try text(&reader, piece),
                uid: try uid(&reader, piece)))
        piece.owners.append(made)
        return made
    }

    private mutating func resources(
        _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> ContainerResources {
        if let known = try reference(&reader, count: piece.resources.count) {
            return piece.resources[known]
        }
        let made = sharedResources.value(
            ContainerResources(
                requests: try amounts(&reader, piece), limits: try amounts(&reader, piece)))
        piece.resources.append(made)
        return made
    }

    private func amounts(
        _ reader: inout ByteReader, _ piece: Piece
    ) throws(WireError) -> ResourceAmounts {
        var amounts = ResourceAmounts()
        let present = try reader.byte()
        if present & 1 != 0 { amounts.cpuMillicores = try reader.signedVarint() }
        if present & 2 != 0 { amounts.memoryBytes = try reader.signedVarint() }
        if present & 4 != 0 { amounts.ephemeralStorageBytes = try reader.signedVarint() }
        for _ in 0..<(try reader.count("resources", limit: reader.remaining)) {
            amounts.others.append(
                ResourceAmounts.Other(
                    name: try text(&reader, piece), value: try reader.signedVarint()))
        }
        return amounts
    }

    // MARK: Objects

    private mutating func pod(
        _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> Pod {
        var parts = Pod.Parts()
        parts.namespace = try text(&reader, piece)
        parts.name = try text(&reader, piece)
        parts.uid = try uid(&reader, piece)
        parts.nodeName = try text(&reader, piece)
        parts.labels = try labels(&reader, &piece)
        parts.controller = try owner(&reader, &piece)
        parts.startTimeMilliseconds = try reader.signedVarint()
        parts.phase = Pod.Phase(rawValue: try reader.byte()) ?? .unknown
        parts.qosClass = Pod.QOSClass(rawValue: try reader.byte()) ?? .unknown
        let flags = try reader.byte()
        parts.isHostNetwork = flags & 1 != 0
        parts.isTerminating = flags & 2 != 0
        if flags & 4 != 0 { parts.configHash = try uid(&reader, piece) }
        for _ in 0..<(try reader.count("containers", limit: reader.remaining)) {
            parts.containers.append(try container(&reader, &piece))
        }
        return Pod(parts)
    }

    private mutating func container(
        _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> Pod.Container {
        var container = Pod.Container(
            name: try text(&reader, piece), image: try text(&reader, piece))
        container.resources = try resources(&reader, &piece)
        container.id = try containerID(&reader, piece)
        container.startedMilliseconds = try reader.signedVarint()
        container.restartCount = Int32(clamping: try reader.signedVarint())
        let flags = try reader.byte()
        guard let role = Pod.Container.Role(rawValue: flags & 15) else {
            throw .malformed(what: "role of a container", offset: reader.offset)
        }
        container.role = role
        container.isReady = flags & 16 != 0
        container.isRunning = flags & 32 != 0
        return container
    }

    private mutating func node(
        _ reader: inout ByteReader, _ piece: inout Piece
    ) throws(WireError) -> Node {
        var node = Node(name: try text(&reader, piece), uid: try uid(&reader, piece))
        node.labels = try labels(&reader, &piece)
        for _ in 0..<(try reader.count("annotations", limit: reader.remaining)) {
            let key = try text(&reader, piece)
            node.annotations[key] = try text(&reader, piece)
        }
        node.externalID = try text(&reader, piece)
        node.internalIP = try text(&reader, piece)
        node.externalIP = try text(&reader, piece)
        node.hostnameAddress = try text(&reader, piece)
        node.kubeletVersion = try text(&reader, piece)
        node.isUnschedulable = try reader.byte() != 0
        node.readiness = Node.Readiness(rawValue: try reader.byte()) ?? .notReported
        node.capacity = try amounts(&reader, piece)
        node.allocatable = try amounts(&reader, piece)
        return node
    }
}
