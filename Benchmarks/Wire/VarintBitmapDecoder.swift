import Wire

/// Decodes what `VarintBitmapCodec` writes, as fast as that plainly goes: what our decoder's speed
/// is compared with in the same run, since nanoseconds on a shared machine mean little alone.
final class VarintBitmapDecoder {
    private let widths: [Int]
    private let values: UnsafeMutableBufferPointer<Int64>
    /// Which columns changed, of the subject at hand.
    private let maps: UnsafeMutableBufferPointer<UInt64>

    init(_ subjects: [SampleSubject]) {
        widths = subjects.map { $0.schema.fields.count }
        values = .allocate(capacity: widths.reduce(0, +))
        values.initialize(repeating: 0)
        maps = .allocate(capacity: ((widths.max() ?? 0) + 63) / 64)
        maps.initialize(repeating: 0)
    }

    deinit {
        values.deallocate()
        maps.deallocate()
    }

    /// All values of the last frame, subject after subject.
    var frame: UnsafeBufferPointer<Int64> { UnsafeBufferPointer(values) }

    func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) {
        var reader = ByteReader(payload)
        _ = try reader.varint()
        var offset = 0
        for width in widths {
            let wordCount = (width + 63) / 64
            for word in 0..<wordCount {
                var level = try reader.byte()
                var map: UInt64 = 0
                while level != 0 {
                    let byte = UInt64(level.trailingZeroBitCount)
                    level &= level &- 1
                    map |= UInt64(try reader.byte()) &<< (byte &* 8)
                }
                maps[word] = map
            }
            for word in 0..<wordCount {
                var map = maps[word]
                while map != 0 {
                    let column = word &* 64 &+ map.trailingZeroBitCount
                    map &= map &- 1
                    guard column < width else {
                        throw .malformed(what: "column", offset: reader.offset)
                    }
                    values[offset &+ column] &+= try reader.signedVarint()
                }
            }
            offset += width
        }
    }
}
