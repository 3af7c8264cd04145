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

    init(capacity: Int) {
        memory = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    var capacity: Int { memory.count }
    var freeByteCount: Int { memory.count - byteCount }

    /// Type (8 bits) and length (24 bits, `WireLimits.recordBytes` fits) in front of each payload.
    private static let headerByteCount = 4
    /// A frame's step in front of that.
    private static let stepByteCount = 8

    /// What a record takes.
    static func byteCount(ofPayload byteCount: Int) -> Int {
        headerByteCount + stepByteCount + byteCount
    }

    /// - Precondition: the record fits.
    func append(type: RecordType, step: Int64, payload: UnsafeRawBufferPointer) {
        let needed = Self.byteCount(ofPayload: payload.count)
        precondition(needed <= freeByteCount, "record of \(needed) bytes, \(freeByteCount) free")
        let header = UInt32(payload.count) << 8 | UInt32(type.rawValue)
        memory.storeBytes(of: header.littleEndian, toByteOffset: byteCount, as: UInt32.self)
        memory.storeBytes(
            of: step.littleEndian, toByteOffset: byteCount + Self.headerByteCount, as: Int64.self)
        if let base = payload.baseAddress {
            memory.baseAddress?.advanced(by: byteCount + needed - payload.count)
                .copyMemory(from: base, byteCount: payload.count)
        }
        byteCount += needed
        guard type == .frame else { return }
        if firstStep == nil { firstStep = step }
        lastStep = max(lastStep, step)
    }

    /// A record in place.
    struct Entry {
        let type: RecordType
        /// A frame's step; of a dictionary record, that of the frame after it.
        let step: Int64
        let payload: UnsafeRawBufferPointer
        /// Where the next one begins.
        let end: Int
    }

    /// The record at an offset where one begins.
    func entry(at offset: Int) -> Entry {
        // Written by `append` alone, so the header can be believed.
        let header = UInt32(
            littleEndian: memory.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let step = Int64(
            littleEndian: memory.loadUnaligned(
                fromByteOffset: offset + Self.headerByteCount, as: Int64.self))
        guard let type = RecordType(rawValue: UInt8(truncatingIfNeeded: header)) else {
            preconditionFailure("record type \(header & 0xFF) in history")
        }
        let end = offset + Self.byteCount(ofPayload: Int(header >> 8))
        let start = end - Int(header >> 8)
        return Entry(
            type: type, step: step, payload: UnsafeRawBufferPointer(rebasing: memory[start..<end]),
            end: end)
    }
}
