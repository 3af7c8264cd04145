import Wire

/// The third design that was measured: the same units, predictions and flags' history, but an adaptive
/// binary range coder (the carry-less kind of LZMA) for flags and for the bit lengths of changes, with
/// contexts shared by all subjects of a schema. A reader cannot pass over a subject.
struct EntropyCodec {
    private let subjects: [SampleSubject]
    private var last: [[Int64]]
    private var history: [[Int]]
    private var length: [[Int]]
    private var flagModels: [UInt16]
    private var lengthModels: [[UInt16]]
    private var schemaIndex: [Int] = []

    init(_ subjects: [SampleSubject]) {
        self.subjects = subjects
        last = subjects.map { [Int64](repeating: 0, count: $0.schema.fields.count) }
        history = last.map { $0.map { _ in 0 } }
        length = last.map { $0.map { _ in 0 } }
        flagModels = [UInt16](repeating: 1_024, count: 64 * 4)
        var schemas: [Schema] = []
        for subject in subjects {
            if !schemas.contains(subject.schema) { schemas.append(subject.schema) }
            schemaIndex.append(schemas.firstIndex(of: subject.schema) ?? 0)
        }
        // Per bucket of the last length 128 nodes of a binary tree over the next one.
        lengthModels = schemas.map { _ in [UInt16](repeating: 1_024, count: 66 * 128) }
    }

    /// Encodes a step; the coder is flushed once a frame.
    mutating func encode(step: Int) -> [UInt8] {
        var coder = RangeEncoder()
        for index in subjects.indices { code(index, subjects[index].rows[step], &coder) }
        return coder.finish()
    }

    private mutating func code(_ index: Int, _ row: [Int64], _ coder: inout RangeEncoder) {
        let schema = subjects[index].schema
        let sums = subjects[index].sums
        var units = [Int64](repeating: 0, count: row.count)
        var before = 0
        for column in row.indices {
            let unit = Int64(schema.fields[column].granularity)
            units[column] = (row[column] &- last[index][column]) / unit
            let predicted = sums[column].reduce(Int64(0)) {
                $0 &+ Int64($1.weight) &* units[$1.column]
            }
            let change = units[column] &- predicted
            let isFlagged = change != 0
            coder.encode(isFlagged, &flagModels[history[index][column] * 4 + before])
            before = (before << 1 | (isFlagged ? 1 : 0)) & 3
            history[index][column] = (history[index][column] << 1 | (isFlagged ? 1 : 0)) & 63
            guard isFlagged else { continue }
            let z = Varint.zigzag(0 &- change) &- 1
            let bits = 64 - z.leadingZeroBitCount
            let bucket = length[index][column]
            var node = 1
            for level in (0..<7).reversed() {
                let bit = bits >> level & 1
                coder.encode(bit == 1, &lengthModels[schemaIndex[index]][bucket * 128 + node])
                node = node << 1 | bit
            }
            length[index][column] = bits
            if bits > 1 { coder.encodeRaw(z & (1 << UInt64(bits - 1) - 1), bits - 1) }
        }
        last[index] = row
    }
}

/// LZMA's binary range encoder.
struct RangeEncoder {
    private var low: UInt64 = 0
    private var range: UInt32 = .max
    private var cache: UInt8 = 0
    private var cacheCount = 1
    private var bytes: [UInt8] = []

    mutating func encode(_ bit: Bool, _ model: inout UInt16) {
        let bound = (range >> 11) * UInt32(model)
        if bit {
            low += UInt64(bound)
            range -= bound
            model -= model >> 4
        } else {
            range = bound
            model += (2_048 - model) >> 4
        }
        while range < 1 << 24 {
            range <<= 8
            shift()
        }
    }

    mutating func encodeRaw(_ bits: UInt64, _ count: Int) {
        for index in (0..<count).reversed() {
            range >>= 1
            if bits >> UInt64(index) & 1 == 1 { low += UInt64(range) }
            while range < 1 << 24 {
                range <<= 8
                shift()
            }
        }
    }

    private mutating func shift() {
        if low < 0xFF00_0000 || low > 0xFFFF_FFFF {
            var byte = cache
            repeat {
                bytes.append(byte &+ UInt8(truncatingIfNeeded: low >> 32))
                byte = 0xFF
                cacheCount -= 1
            } while cacheCount > 0
            cache = UInt8(truncatingIfNeeded: low >> 24)
        }
        cacheCount += 1
        low = (low & 0x00FF_FFFF) << 8
    }

    /// The first byte is always zero and the last ones may be, as zeros can be assumed.
    mutating func finish() -> [UInt8] {
        for _ in 0..<5 { shift() }
        while bytes.last == 0 { bytes.removeLast() }
        return Array(bytes.dropFirst())
    }
}
