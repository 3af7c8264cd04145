import TestSupport
import Testing
import Wire

@testable import NodeAgent

@Suite struct FlatKeyedFileTests {
    private static let keys: [StaticString] = ["anon", "inactive_file", "pgfault", "Total:"]
    private static let sample = Array(
        """
        anon 47161344
        file 0
        inactive_anon 49639424
        inactive_file 4096
        Total:          983460 kB
        pgfault 15457
        thp_collapse_alloc 9

        """.utf8)

    /// Offsets within lines of keys that are not wanted.
    private static let unwanted: Set<Int> = {
        var offsets: Set<Int> = []
        var start = 0
        for line in sample.split(separator: 10) {
            let key = Model.text(Array(line.prefix { $0 > 32 }))
            if !keys.contains(where: { $0.description == key }) {
                offsets.formUnion(start..<(start + line.count))
            }
            start += line.count + 1
        }
        return offsets
    }()

    private func parse(_ file: inout FlatKeyedFile, _ bytes: [UInt8]) -> [String: Int64]? {
        var values = [Int64](repeating: -7, count: Self.keys.count)
        do throws(KernelTextError) {
            let found = try bytes.withUnsafeBufferPointer { (text) throws(KernelTextError) in
                try values.withUnsafeMutableBufferPointer { (buffer) throws(KernelTextError) in
                    guard let base = buffer.baseAddress else { throw .missing("buffer") }
                    return try file.parse(text, into: base)
                }
            }
            var parsed: [String: Int64] = [:]
            for (index, key) in Self.keys.enumerated() where found & 1 << UInt64(index) != 0 {
                parsed[key.description] = values[index]
            }
            return parsed
        } catch {
            return nil
        }
    }

    /// By splitting.
    private func model(_ bytes: [UInt8]) -> [String: Int64]? {
        guard let lines = Model.lines(bytes) else { return nil }
        var parsed: [String: Int64] = [:]
        for line in lines {
            let key = line.prefix { $0 > 32 }
            guard !key.isEmpty, key.count < line.count, line[key.count] == 32 else { return nil }
            let name = Model.text(Array(key))
            var rest = line.dropFirst(key.count).drop { $0 == 32 || $0 == 9 }
            if rest.suffix(3).elementsEqual(" kB".utf8) { rest = rest.dropLast(3) }
            guard let value = Model.number(rest) else { return nil }
            if Self.keys.contains(where: { $0.description == name }) { parsed[name] = value }
        }
        return parsed
    }

    @Test func wantedKeysAreFoundWhereverTheyStand() {
        var file = FlatKeyedFile(keys: Self.keys)
        let expected: [String: Int64] = [
            "anon": 47_161_344, "inactive_file": 4_096, "pgfault": 15_457, "Total:": 983_460,
        ]
        for _ in 0..<3 { #expect(parse(&file, Self.sample) == expected) }
    }

    @Test func truncationAtEveryByteIsSeenOrEndsALine() {
        for count in 0..<Self.sample.count {
            let cut = Array(Self.sample[..<count])
            var fresh = FlatKeyedFile(keys: Self.keys)
            #expect(parse(&fresh, cut) == model(cut), "\(count) bytes")
            var remembering = FlatKeyedFile(keys: Self.keys)
            _ = parse(&remembering, Self.sample)
            #expect(parse(&remembering, cut) == model(cut), "\(count) bytes, remembering")
        }
    }

    @Test func everyBitFlipIsReadAsTheModelReadsIt() {
        for index in Self.sample.indices {
            for bit in 0..<8 {
                var bytes = Self.sample
                bytes[index] ^= 1 << UInt8(bit)
                var fresh = FlatKeyedFile(keys: Self.keys)
                #expect(parse(&fresh, bytes) == model(bytes), "byte \(index) bit \(bit)")
                var remembering = FlatKeyedFile(keys: Self.keys)
                _ = parse(&remembering, Self.sample)
                let second = parse(&remembering, bytes)
                // Of a line that nobody wants only the length of its key is looked at.
                let isUnseen = Self.unwanted.contains(index) && second == parse(&fresh, Self.sample)
                #expect(second == model(bytes) || isUnseen, "byte \(index) bit \(bit), remembering")
            }
        }
    }

    @Test func aFileWithOtherLinesIsReadAndRemembered() {
        var file = FlatKeyedFile(keys: Self.keys)
        _ = parse(&file, Self.sample)
        let other = Array("pgfault 3\nnew_key 9\nanon 1\n".utf8)
        #expect(parse(&file, other) == ["pgfault": 3, "anon": 1])
        #expect(parse(&file, other) == ["pgfault": 3, "anon": 1])
        #expect(parse(&file, Self.sample)?.count == 4)
    }

    @Test func randomLinesAreReadAsTheModelReadsThem() {
        var random = SeededRandom(seed: 7)
        let pieces = [
            "anon", "pgfault", "inactive_file", "x", " ", "  ", "1", "42", "\n", "\n", " kB",
            "Total:",
        ]
        for round in 0..<20_000 {
            let text = (0..<Int.random(in: 0..<14, using: &random)).map { _ in
                pieces[Int.random(in: 0..<pieces.count, using: &random)]
            }.joined()
            var fresh = FlatKeyedFile(keys: Self.keys)
            #expect(parse(&fresh, Array(text.utf8)) == model(Array(text.utf8)), "\(round): \(text)")
        }
    }

    /// Columns are those of the keys that were found, and are written in the same order.
    @Test func keysThatAKernelLacksHaveNoColumn() throws {
        var table = MemoryStat.v2
        let text = Array("anon 4096\nfile 8192\ninactive_file 4096\npgfault 7\n".utf8)
        var values = [Int64](repeating: 0, count: table.valueCount)
        var columns = [Int64](repeating: -1, count: 8)
        try text.withUnsafeBufferPointer { text in
            try values.withUnsafeMutableBufferPointer { values in
                let base = try #require(values.baseAddress)
                let found = try table.parse(text, into: base)
                let fields = table.fields(of: found).compactMap { MetricID(rawValue: $0.metric) }
                #expect(
                    fields == [.memoryRSS, .memoryCache, .memoryInactiveFile, .memoryPageFaults])
                let count = columns.withUnsafeMutableBufferPointer {
                    $0.baseAddress.map { table.write(base, found: found, to: $0) }
                }
                #expect(count == 4)
                #expect(base[MemoryStat.inactiveFileRowV2] == 4_096)
            }
        }
        #expect(columns == [4_096, 8_192, 4_096, 7, -1, -1, -1, -1])
    }

    /// The rows that other values are made of are where the constants say.
    @Test func namedRowsHoldTheirKeys() {
        #expect(
            MemoryStat.hierarchicalV1.rows[MemoryStat.inactiveFileRowV1].metric
                == .memoryInactiveFile)
        #expect(MemoryStat.flatV1.rows[MemoryStat.inactiveFileRowV1].metric == .memoryInactiveFile)
        #expect(MemoryStat.v2.rows[MemoryStat.inactiveFileRowV2].metric == .memoryInactiveFile)
        #expect(MemInfo.metrics.rows[MemInfo.Row.total].metric == .memoryTotal)
        #expect(MemInfo.metrics.rows[MemInfo.Row.free].metric == .memoryFree)
        #expect(MemInfo.metrics.rows[MemInfo.Row.inactiveFile].metric == .memoryInactiveFile)
        #expect(MemInfo.metrics.rows[MemInfo.Row.swapTotal].metric == .memorySwapTotal)
        #expect(MemInfo.metrics.rows[MemInfo.Row.swapFree].metric == .memorySwapFree)
        #expect(VMStat.metrics.rows[VMStat.Row.scansOfAnon].metric == .memoryPageScans)
        #expect(VMStat.metrics.rows[VMStat.Row.stealsOfAnon].metric == .memoryPageSteals)
    }
}
