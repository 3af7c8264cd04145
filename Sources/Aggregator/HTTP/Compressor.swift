import CZlib
import Wire

/// One deflate stream (zlib), kept for many bodies: making one costs 260 KB of memory each time.
final class Compressor: @unchecked Sendable {
    // Owned by one thread at a time; `CompressorPool` hands it over under a lock.
    private let stream: UnsafeMutablePointer<z_stream>
    let coding: HTTPNegotiation.ContentCoding

    /// - Parameter level: 1 is fast and nearly as small as 6 on JSON.
    /// - Returns: nil when zlib has no memory.
    init?(coding: HTTPNegotiation.ContentCoding, level: Int32) {
        precondition(coding != .identity)
        self.coding = coding
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // "deflate" is the zlib format (RFC 9110, 8.4.1.2), not raw deflate.
        let result =
            coding == .gzip ? hw_gzip_init(stream, level) : hw_deflate_init(stream, level)
        guard result == Z_OK else { return nil }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Appends the compressed form of `input`; with `isLast` the end of the stream too. Output may
    /// lag behind input until then.
    func compress(_ input: UnsafeRawBufferPointer, isLast: Bool, into output: inout [UInt8]) {
        var empty: UInt8 = 0
        withUnsafeMutablePointer(to: &empty) { placeholder in
            let start = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.next_in = start.map { UnsafeMutablePointer(mutating: $0) } ?? placeholder
            stream.pointee.avail_in = UInt32(input.count)
            repeat {
                fill(&output, isLast ? Z_FINISH : Z_NO_FLUSH)
            } while stream.pointee.avail_out == 0
        }
        precondition(stream.pointee.avail_in == 0, "deflate left input behind")
        if isLast {
            let result = deflateReset(stream)
            precondition(result == Z_OK, "deflateReset failed: \(result)")
        }
    }

    /// Makes the stream ready for another body, whatever became of the last.
    func reset() {
        let result = deflateReset(stream)
        precondition(result == Z_OK, "deflateReset failed: \(result)")
    }

    private func fill(_ output: inout [UInt8], _ flush: Int32) {
        let used = output.count
        let room = max(4_096, Int(stream.pointee.avail_in) / 4)
        output.append(contentsOf: repeatElement(0, count: room))
        let left = output.withUnsafeMutableBufferPointer { buffer -> Int in
            stream.pointee.next_out = buffer.baseAddress.map { $0 + used }
            stream.pointee.avail_out = UInt32(room)
            let result = deflate(stream, flush)
            precondition(
                result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR,
                "deflate failed: \(result)")
            return Int(stream.pointee.avail_out)
        }
        output.removeLast(left)
    }
}

/// Compressors not in use. Any thread may take and give back.
final class CompressorPool: @unchecked Sendable {
    private let level: Int32
    private let keptCountMax: Int
    private let lock = Lock()
    private var free: [Compressor] = []

    init(level: Int32 = 1, keptCountMax: Int = 8) {
        self.level = level
        self.keptCountMax = keptCountMax
    }

    /// Nil when there is no memory: then send the body as it is.
    func take(_ coding: HTTPNegotiation.ContentCoding) -> Compressor? {
        let kept = lock.withLock { () -> Compressor? in
            guard let index = free.lastIndex(where: { $0.coding == coding }) else { return nil }
            return free.remove(at: index)
        }
        return kept ?? Compressor(coding: coding, level: level)
    }

    func giveBack(_ compressor: Compressor) {
        compressor.reset()
        lock.withLock { if free.count < keptCountMax { free.append(compressor) } }
    }
}

/// The pieces of another producer, compressed.
final class CompressedProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let source: any HTTPBodyProducer
    private let compressor: Compressor
    private let pool: CompressorPool
    private var piece: [UInt8] = []

    init(_ source: any HTTPBodyProducer, _ compressor: Compressor, _ pool: CompressorPool) {
        self.source = source
        self.compressor = compressor
        self.pool = pool
    }

    deinit { pool.giveBack(compressor) }

    var hasFailed: Bool { source.hasFailed }

    func produce(into target: inout [UInt8]) -> Bool {
        piece.removeAll(keepingCapacity: true)
        let hasMore = source.produce(into: &piece)
        piece.withUnsafeBytes { compressor.compress($0, isLast: !hasMore, into: &target) }
        return hasMore
    }
}

/// A body that exists as a whole, in pieces: so that compressing it does not hold a loop.
final class SlicedProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let bytes: [UInt8]
    private var position = 0
    private static let pieceByteCount = 65_536

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func produce(into piece: inout [UInt8]) -> Bool {
        let end = min(position + Self.pieceByteCount, bytes.count)
        piece.append(contentsOf: bytes[position..<end])
        position = end
        return end < bytes.count
    }
}
