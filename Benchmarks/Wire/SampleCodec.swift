import Wire

/// A way to turn the steps of all series into frames: what is compared.
protocol SampleCodec {
    /// Name in the table.
    static var name: String { get }
    init(_ subjects: [SampleSubject])
    /// The frame of one step, without the record around it.
    mutating func encode(step: Int, milliseconds: Int64, into bytes: inout [UInt8])
}

/// The changed bitmap with varints: per subject one byte that says which bytes of the bitmap follow,
/// one bit per column, and zigzag varints of what changed.
struct VarintBitmapCodec: SampleCodec {
    static let name = "changed bitmap + varint"
    private let subjects: [SampleSubject]
    private var last: [[Int64]]

    init(_ subjects: [SampleSubject]) {
        self.subjects = subjects
        last = subjects.map { [Int64](repeating: 0, count: $0.schema.fields.count) }
    }

    mutating func encode(step: Int, milliseconds: Int64, into bytes: inout [UInt8]) {
        if step == 0 {
            Varint.append(UInt64(milliseconds), to: &bytes)
        } else {
            Varint.append(1_000, to: &bytes)
        }
        for index in subjects.indices {
            // The recording's own units: this codec knows no granularity.
            let row = subjects[index].raw[step]
            var map = [UInt8](repeating: 0, count: (row.count + 7) / 8)
            for column in row.indices where row[column] != last[index][column] {
                map[column / 8] |= 1 << UInt8(column % 8)
            }
            for first in stride(from: 0, to: map.count, by: 8) {
                let part = map[first..<min(first + 8, map.count)]
                var level: UInt8 = 0
                for (bit, byte) in part.enumerated() where byte != 0 { level |= 1 << UInt8(bit) }
                bytes.append(level)
                bytes += part.filter { $0 != 0 }
            }
            for column in row.indices where row[column] != last[index][column] {
                Varint.append(signed: row[column] &- last[index][column], to: &bytes)
            }
            last[index] = row
        }
    }
}

extension VarintBitmapCodec {
    /// The frames of a node of a fleet.
    static func frames(_ node: Fleet.Node, count: Int) -> [[UInt8]] {
        let subjects = node.subjects.map { entry in
            entry.subject.from(step: entry.firstStep)
        }
        var codec = VarintBitmapCodec(subjects)
        return (0..<count).map { step in
            var bytes: [UInt8] = []
            codec.encode(step: step, milliseconds: 1_795_247_355_000, into: &bytes)
            return bytes
        }
    }
}

/// Gorilla (Pelkonen et al., VLDB 2015) per series: values as doubles, exclusive-or with the last one;
/// chunks of 120 samples, each with a timestamp at the front and steps that are all alike (a bit
/// each). Bytes are counted per series and step; there are no frames.
struct GorillaCodec {
    private var bits = 0

    static func bytes(_ subjects: [SampleSubject]) -> Int {
        var codec = GorillaCodec()
        for subject in subjects {
            for column in subject.schema.fields.indices {
                codec.series(subject.raw.map { Double($0[column]) })
            }
        }
        return codec.bits / 8
    }

    private mutating func series(_ values: [Double]) {
        for start in stride(from: 0, to: values.count, by: 120) {
            var last = values[start].bitPattern
            var window = (leading: 65, trailing: 0)
            // Header timestamp, first delta, first value.
            bits += 64 + 14 + 64
            for value in values[start..<min(start + 120, values.count)].dropFirst() {
                bits += 1
                let change = value.bitPattern ^ last
                last = value.bitPattern
                guard change != 0 else {
                    bits += 1
                    continue
                }
                let leading = min(change.leadingZeroBitCount, 31)
                let trailing = change.trailingZeroBitCount
                if window.leading <= leading, window.trailing <= trailing {
                    bits += 2 + 64 - window.leading - window.trailing
                } else {
                    bits += 2 + 5 + 6 + 64 - leading - trailing
                    window = (leading, trailing)
                }
            }
        }
        bits = (bits + 7) / 8 * 8
    }
}
