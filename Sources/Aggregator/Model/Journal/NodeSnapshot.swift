import Wire

/// What a node needs to go on from a place in the log: a `nodeState` record and one `chainState`
/// record for each chain that can be continued. Everything before it may be gone.
struct NodeSnapshot {
    var runID: [UInt8] = []
    var machine = MachineFacts()
    var settled = SequenceSet()
    /// Cycles that the roll-ups have of this node, as numbers.
    var counted = SequenceSet()
    var newestStep: Int64 = .min
    var counters = NodeModel.Counters()
    var chainCount = 0

    private static let version: UInt8 = 1

    /// Appends the records of a node's state.
    ///
    /// - Returns: how many.
    static func encode(
        _ state: NodeModel.State, _ newestStep: Int64, node: UInt32, into bytes: inout [UInt8]
    ) -> Int {
        var snapshot = NodeSnapshot()
        snapshot.runID = state.runID
        snapshot.machine = state.machine
        snapshot.settled = state.settled
        snapshot.counted = state.cycle.countedCycles
        snapshot.newestStep = newestStep
        snapshot.counters = state.counters
        snapshot.chainCount = state.openChains.count
        LogRecord.append(.nodeState, node: node, to: &bytes) { snapshot.encode(into: &$0) }
        for chain in state.openChains {
            LogRecord.append(.chainState, node: node, to: &bytes) {
                ChainSnapshot.encode(chain, into: &$0)
            }
        }
        return 1 + state.openChains.count
    }

    func encode(into bytes: inout [UInt8]) {
        bytes.append(Self.version)
        append(runID, to: &bytes)
        append(machine.encode(), to: &bytes)
        for set in [settled, counted] {
            Varint.append(UInt64(set.ranges.count), to: &bytes)
            for range in set.ranges { bytes.append(contentsOf: range.encode()) }
        }
        Varint.append(signed: newestStep, to: &bytes)
        for count in [counters.frames, counters.samples, counters.bytes, counters.gapFrames] {
            Varint.append(count, to: &bytes)
        }
        Varint.append(UInt64(chainCount), to: &bytes)
    }

    private func append(_ field: [UInt8], to bytes: inout [UInt8]) {
        Varint.append(UInt64(field.count), to: &bytes)
        bytes.append(contentsOf: field)
    }
}

extension NodeSnapshot {
    /// - Throws: `unsupportedVersion`, `truncated`, `malformed`, `limitExceeded`.
    init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        self.init()
        var reader = ByteReader(payload)
        let version = try reader.byte()
        guard version == Self.version else {
            throw .unsupportedVersion(ours: Self.version, theirs: version)
        }
        runID = Array(try Self.field(&reader))
        machine = try MachineFacts(decoding: try Self.field(&reader))
        settled = try Self.set(&reader)
        counted = try Self.set(&reader)
        newestStep = try reader.signedVarint()
        counters.frames = try reader.varint()
        counters.samples = try reader.varint()
        counters.bytes = try reader.varint()
        counters.gapFrames = try reader.varint()
        chainCount = try reader.count("open chains", limit: ChainSelection.openMax * 64)
        guard reader.isAtEnd else { throw .malformed(what: "node state", offset: reader.offset) }
    }

    private static func field(
        _ reader: inout ByteReader
    ) throws(WireError) -> UnsafeRawBufferPointer {
        try reader.take(try reader.count("field length", limit: reader.remaining))
    }

    private static func set(_ reader: inout ByteReader) throws(WireError) -> SequenceSet {
        var set = SequenceSet()
        for _ in 0..<(try reader.count("ranges", limit: reader.remaining)) {
            let last = try reader.varint()
            let before = try reader.varint()
            guard before <= last else {
                throw .malformed(what: "sequence range", offset: reader.offset)
            }
            set.insert(SequenceRange(last - before, last))
        }
        return set
    }
}
