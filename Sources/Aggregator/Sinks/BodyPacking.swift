import CSnappy
import CZlib

/// Compression of a whole body, by the operating system's libraries.
enum BodyPacking: Sendable, Equatable {
    case none
    /// `Content-Encoding: gzip`, level 1: text of metrics shrinks to a tenth at any level.
    case gzip
    /// Snappy's block format, as Prometheus remote write wants it.
    case snappy

    func pack(_ bytes: [UInt8]) -> [UInt8] {
        switch self {
        case .none: bytes
        case .gzip: Self.gzip(bytes)
        case .snappy: Self.snappy(bytes)
        }
    }

    static func snappy(_ bytes: [UInt8]) -> [UInt8] {
        var count = snappy_max_compressed_length(bytes.count)
        return [UInt8](unsafeUninitializedCapacity: count) { target, used in
            let status = bytes.withUnsafeBytes { source in
                snappy_compress(
                    source.bindMemory(to: CChar.self).baseAddress, source.count,
                    UnsafeMutableRawBufferPointer(target).bindMemory(to: CChar.self).baseAddress,
                    &count)
            }
            precondition(status == SNAPPY_OK, "snappy_compress: \(status)")
            used = count
        }
    }

    static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        let started = hw_gzip_init(&stream, 1)
        precondition(started == Z_OK, "deflateInit2: \(started)")
        defer { deflateEnd(&stream) }
        var source = bytes
        let room = Int(deflateBound(&stream, UInt(bytes.count)))
        return source.withUnsafeMutableBufferPointer { source in
            [UInt8](unsafeUninitializedCapacity: room) { target, used in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(room)
                let status = deflate(&stream, Z_FINISH)
                precondition(status == Z_STREAM_END, "deflate: \(status)")
                used = room - Int(stream.avail_out)
            }
        }
    }

    /// What `gzip` packed; `nil` for anything else, and for more than `byteCountMax`.
    static func gunzip(_ bytes: [UInt8], byteCountMax: Int = 64 << 20) -> [UInt8]? {
        guard let inflater = Inflater() else { return nil }
        var whole: [UInt8] = []
        let isGzip = bytes.withUnsafeBytes { packed in
            inflater.inflate(packed) { piece in
                guard whole.count + piece.count <= byteCountMax else { return false }
                whole.append(contentsOf: piece)
                return true
            }
        }
        return isGzip && inflater.isBetweenMembers ? whole : nil
    }
}
