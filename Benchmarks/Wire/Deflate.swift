import CZlib

/// Streaming deflate with one context for all frames, flushed after each so that it can be decoded.
final class DeflateStream {
    private var stream = z_stream()
    private var block = [UInt8](repeating: 0, count: 1 << 16)

    init(level: Int32) {
        precondition(hw_gzip_init(&stream, level) == Z_OK, "deflate cannot start")
    }

    deinit { deflateEnd(&stream) }

    /// Compressed bytes of one more frame.
    func compressedByteCount(_ bytes: [UInt8]) -> Int {
        var input = bytes
        var count = 0
        input.withUnsafeMutableBufferPointer { input in
            block.withUnsafeMutableBufferPointer { block in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                repeat {
                    stream.next_out = block.baseAddress
                    stream.avail_out = UInt32(block.count)
                    deflate(&stream, Z_SYNC_FLUSH)
                    count += block.count - Int(stream.avail_out)
                } while stream.avail_out == 0
            }
        }
        return count
    }
}
