import Wire

/// The sums of a cycle as they were when a batch was closed: the payload of a `cycle` record. A later
/// record of the same cycle takes its place.
struct CycleEntry {
    struct Sums {
        /// Empty for the whole cluster.
        let namespace: String
        let row: RollUpRow
    }

    /// The cycle's number: its time over the resolution.
    let index: Int64
    /// Milliseconds between cycles, by which it was numbered.
    let resolution: Int64
    /// Nodes that brought a frame for it.
    let nodeCount: Int
    let sums: [Sums]
    /// Whose part it is: what the process whose first segment has this number added to a cycle that it
    /// had not read yet, the payload of a `cyclePart` record. It comes on top of an earlier `cycle` and of
    /// other processes' parts. `nil` for a whole cycle.
    let writer: UInt64?

    init(
        index: Int64, resolution: Int64, nodeCount: Int, sums: [Sums], writer: UInt64? = nil
    ) {
        self.index = index
        self.resolution = resolution
        self.nodeCount = nodeCount
        self.sums = sums
        self.writer = writer
    }

    func encode(into bytes: inout [UInt8]) {
        if let writer { Varint.append(writer, to: &bytes) }
        Varint.append(signed: index, to: &bytes)
        Varint.append(signed: resolution, to: &bytes)
        Varint.append(UInt64(nodeCount), to: &bytes)
        Varint.append(UInt64(sums.count), to: &bytes)
        for item in sums {
            Varint.append(UInt64(item.namespace.utf8.count), to: &bytes)
            bytes.append(contentsOf: item.namespace.utf8)
            Varint.append(UInt64(item.row.present), to: &bytes)
            for column in 0..<RollUpRow.width where item.row.present & 1 << UInt32(column) != 0 {
                Self.append(item.row[column], to: &bytes)
            }
        }
    }

    init(decoding payload: UnsafeRawBufferPointer, isPart: Bool) throws(WireError) {
        var reader = ByteReader(payload)
        writer = isPart ? try reader.varint() : nil
        index = try reader.signedVarint()
        resolution = try reader.signedVarint()
        nodeCount = try reader.count("nodes", limit: Int(Int32.max))
        var sums: [Sums] = []
        for _ in 0..<(try reader.count("namespaces", limit: payload.count)) {
            let length = try reader.count("namespace", limit: reader.remaining)
            let namespace = String(decoding: try reader.take(length), as: UTF8.self)
            let present = try reader.varint()
            guard present < 1 << UInt64(RollUpRow.width) else {
                throw .malformed(what: "sums", offset: reader.offset)
            }
            var row = RollUpRow()
            for column in 0..<RollUpRow.width where present & 1 << UInt64(column) != 0 {
                row.add(try Self.value(&reader), at: column)
            }
            sums.append(Sums(namespace: namespace, row: row))
        }
        self.sums = sums
        guard reader.isAtEnd else { throw .malformed(what: "sums", offset: reader.offset) }
    }

    /// Whole numbers, which most are, take few bytes: shifted left by one; else 1 and the bit pattern.
    private static func append(_ value: Double, to bytes: inout [UInt8]) {
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53,
            value.sign == .plus || whole != 0
        {
            Varint.append(Varint.zigzag(whole) << 1, to: &bytes)
            return
        }
        bytes.append(1)
        for shift: UInt64 in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
        }
    }

    private static func value(_ reader: inout ByteReader) throws(WireError) -> Double {
        let code = try reader.varint()
        if code & 1 == 0 { return Double(Varint.unzigzag(code >> 1)) }
        let raw = try reader.take(8).loadUnaligned(as: UInt64.self)
        return Double(bitPattern: UInt64(littleEndian: raw))
    }
}
