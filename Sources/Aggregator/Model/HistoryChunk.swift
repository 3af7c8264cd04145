import Wire

/// A run of records in memory, only ever appended to.
///
/// The writer appends under the node's lock; a reader that took `byteCount` under that lock may read
/// so many bytes without it, because bytes once written never change or move.
final class HistoryChunk: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var byteCount = 0
    /// Step of the first and of the last frame in it.
    private(set) var firstStep: Int64?
    private(set) var lastStep: Int64 = .min
    private(set) var lastSequence: UInt64 = 0

    init(capacity: Int) {
        memory = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    var capacity: Int { memory.count }
    var freeByteCount: Int { memory.count - byteCount }

    /// - Precondition: the record fits.
    func append(type: RecordType, payload: UnsafeRawBufferPointer) {
        let needed = HistoryChunk.headerByteCount + payload.count
        precondition(needed <= freeByteCount, "record of \(needed) bytes, \(freeByteCount) free")
        let length = UInt32(payload.count) << 8 | UInt32(type.rawValue)
        memory.storeBytes(of: length.littleEndian, toByteOffset: byteCount, as: UInt32.self)
        if let base = payload.baseAddress {
            memory.baseAddress?.advanced(by: byteCount + HistoryChunk.headerByteCount)
                .copyMemory(from: base, byteCount: payload.count)
        }
        byteCount += needed
    }

    /// Notes the frame that was appended last.
    func noteFrame(step: Int64, sequence: UInt64) {
        if firstStep == nil { firstStep = step }
        lastStep = max(lastStep, step)
        lastSequence = sequence
    }

    /// Length (24 bits) and type (8 bits) in front of each payload. `WireLimits.recordBytes` fits.
    static let headerByteCount = 4

    /// Calls `body` for each record of the first `byteCount` bytes until it returns `false`.
    func forEachRecord<Failure: Error>(
        upTo byteCount: Int,
        _ body: (RecordType, UnsafeRawBufferPointer) throws(Failure) -> Bool
    ) throws(Failure) {
        var offset = 0
        while offset < byteCount {
            // Written by `append` alone, so the header can be believed.
            let header = UInt32(
                littleEndian: memory.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            let start = offset + HistoryChunk.headerByteCount
            offset = start + Int(header >> 8)
            guard let type = RecordType(rawValue: UInt8(truncatingIfNeeded: header)) else {
                preconditionFailure("record type \(header & 0xFF) in history")
            }
            let payload = UnsafeRawBufferPointer(rebasing: memory[start..<offset])
            guard try body(type, payload) else { return }
        }
    }
}
