import TestSupport
import Testing

@testable import Aggregator

@Suite struct JSONScannerTests {
    /// Whether the scanner takes a whole document when all of it is skipped.
    private func skips(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var json = JSONScanner(bytes)
            do {
                try json.skip()
                try json.end()
                return true
            } catch {
                return false
            }
        }
    }

    @Test func randomDocumentsReadAsFoundationReadsThem() throws {
        var random = SeededRandom(seed: 1)
        var kinds: [Int] = [0, 0]
        for _ in 0..<4_000 {
            let bytes = JSONMaker.document(&random)
            let tree = try JSONTree(scanning: bytes)
            #expect(
                tree == JSONTree(foundation: bytes), "\(String(decoding: bytes, as: UTF8.self))")
            #expect(skips(bytes))
            if case .object = tree { kinds[0] += 1 } else { kinds[1] += 1 }
        }
        #expect(kinds[0] > 500 && kinds[1] > 500)
    }

    @Test func mutatedDocumentsAreTakenAndRefusedAsFoundationDoes() throws {
        var accepted = 0
        var refused = 0
        for seed in UInt64(1)...12_000 {
            var random = SeededRandom(seed: seed)
            var bytes = JSONMaker.document(&random)
            guard !bytes.isEmpty else { continue }
            for _ in 0...random.below(2) {
                let index = random.below(bytes.count)
                switch random.below(5) {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: index)
                case 2:
                    bytes.insert(random.element(Array("{}[],:\"\\ 0e.-tx\u{1}".utf8)), at: index)
                case 3: bytes[index] ^= 1 << UInt8(random.below(8))
                default: bytes.swapAt(index, random.below(bytes.count))
                }
                if bytes.isEmpty { bytes = [0x20] }
            }
            guard JSONTree.foundationIsStrict(about: bytes) else { continue }
            let theirs = JSONTree(foundation: bytes)
            let ours = try? JSONTree(scanning: bytes)
            let shown = String(decoding: bytes, as: UTF8.self)
            // A number that no double holds reads as infinite here and is refused there.
            if theirs == nil, shown.contains("e") || shown.contains("E"), ours != nil { continue }
            #expect(ours == theirs, "seed \(seed): \(shown)")
            #expect(skips(bytes) == (theirs != nil), "seed \(seed): \(shown)")
            if theirs != nil { accepted += 1 } else { refused += 1 }
        }
        #expect(accepted > 1_000 && refused > 1_000)
    }

    @Test func truncationAtEveryByteThrows() throws {
        let text =
            #" {"a":[1.5e-3,-0,true,false,null,"x\u00e9\n","漢字😀"],"b":{"c":{}},"d":[[],[{}]],"e":12}"#
        let bytes = Array(text.utf8)
        #expect(skips(bytes))
        for count in 0..<bytes.count {
            let cut = Array(bytes[..<count])
            #expect(throws: JSONError.truncated(offset: count)) { try JSONTree(scanning: cut) }
            #expect(!skips(cut))
        }
    }

    @Test func everySingleBitFlipIsJudgedAsFoundationJudgesIt() throws {
        let bytes = Array(#"{"kind":"Pod","n":[10,-2.5,1e3],"t":true,"f":"é\n"}"#.utf8)
        for position in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[position / 8] ^= 1 << UInt8(position % 8)
            guard JSONTree.foundationIsStrict(about: flipped) else { continue }
            let theirs = JSONTree(foundation: flipped)
            #expect((try? JSONTree(scanning: flipped)) == theirs, "bit \(position)")
            #expect(skips(flipped) == (theirs != nil), "bit \(position)")
        }
    }

    @Test func randomBytesNeverTrap() {
        for seed in UInt64(0)..<3_000 {
            var random = SeededRandom(seed: seed)
            let alphabet =
                Array("{}[],:\"\\u0123456789eE+-.truefalsn \n\u{0}\u{1F}é".utf8) + [0xFF, 0xC3]
            let bytes = (0..<random.below(60)).map { _ in random.element(alphabet) }
            let tree = try? JSONTree(scanning: bytes)
            #expect((tree != nil) == skips(bytes), "seed \(seed)")
        }
    }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "[,1]", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":}", "{a:1}",
        "[1 2]",
        "01", "1.", ".5", "+1", "-", "1e", "1e+", "0x10", "NaN", "Infinity", "tru", "nulll", "'a'",
        "\"\t\"",
        "\"\\x41\"", "\"\\u12g4\"", "{} {}", "[1]]", "\"\u{0}\"", "[\"a\":1]", "{\"a\",1}", "{1:2}",
        "[}",
        "{]", "// a\n1", "1,", "\u{FEFF}1", "\u{A0}1", "{\"a\":1 \"b\":2}",
    ]) func notJSON(text: String) {
        #expect(throws: JSONError.self) { try JSONTree(scanning: Array(text.utf8)) }
        #expect(!skips(Array(text.utf8)))
    }

    @Test(
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x82], [0xC3, 0x28],
        ] as [[UInt8]]) func stringsThatAreNotUTF8(sequence: [UInt8])
    {
        let bytes = [0x22] + sequence + [0x22]
        #expect(throws: JSONError.self) { try JSONTree(scanning: bytes) }
        #expect(!skips(bytes))
    }

    @Test func halfSurrogatesBecomeReplacementCharacters() throws {
        let cases = [
            (#""\ud800""#, "\u{FFFD}"), (#""\udc00x""#, "\u{FFFD}x"),
            (#""\ud800\u0041""#, "\u{FFFD}A"),
            (#""\ud83d\ud83d\ude00""#, "\u{FFFD}😀"), (#""\uD83D\uDE00""#, "😀"),
        ]
        for (text, expected) in cases {
            #expect(try JSONTree(scanning: Array(text.utf8)) == .string(expected))
        }
    }

    @Test func depthIsLimitedNotTheStack() throws {
        func nested(_ depth: Int, _ open: String, _ close: String) -> [UInt8] {
            Array(
                (String(repeating: open, count: depth) + "1"
                    + String(repeating: close, count: depth)).utf8)
        }
        let limit = JSONScanner.depthLimit
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            #expect(skips(nested(limit, open, close)))
            #expect(throws: Never.self) { try JSONTree(scanning: nested(limit, open, close)) }
            #expect(!skips(nested(limit + 1, open, close)))
            #expect(throws: JSONError.tooDeep(limit: limit, offset: limit * open.utf8.count)) {
                try JSONTree(scanning: nested(limit + 1, open, close))
            }
        }
        #expect(!skips(nested(1_000_000, "[", "]")))
        #expect(!skips(Array(repeating: UInt8(ascii: "["), count: 1_000_000)))
    }

    @Test func depthCountsWhatTheCallerEnteredBeforeSkipping() {
        let depth = JSONScanner.depthLimit
        let text = String(repeating: "[", count: depth + 1)
        Array(text.utf8).withUnsafeBytes { bytes in
            var json = JSONScanner(bytes)
            #expect(throws: JSONError.tooDeep(limit: depth, offset: depth)) {
                try json.beginArray()
                _ = try json.nextElement()
                try json.beginArray()
                _ = try json.nextElement()
                try json.skip()
            }
        }
    }

    @Test func integersKeepSixtyFourBits() throws {
        for (text, expected) in [
            ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("-0", 0),
            ("9223372036854775808", nil), ("-9223372036854775809", nil), ("1.0", nil), ("1e2", nil),
            ("99999999999999999999999", nil),
        ] as [(String, Int64?)] {
            let value = try? Array(text.utf8).withUnsafeBytes { bytes in
                var json = JSONScanner(bytes)
                return try json.integer()
            }
            #expect(value == expected, "\(text)")
        }
    }

    @Test func keysMatchAlsoWhenEscaped() throws {
        let text = #"{"metadata":1,"met\u0061data":2,"metadat":3,"metadatas":4,"meta data":5}"#
        var matched: [Int64] = []
        try Array(text.utf8).withUnsafeBytes { bytes in
            var json = JSONScanner(bytes)
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "metadata": matched.append(try json.integer())
                default: try json.skip()
                }
            }
            try json.end()
        }
        #expect(matched == [1, 2])
    }

    @Test func errorsNameOffsetsInTheWholeDocument() {
        Array("[1,x]".utf8).withUnsafeBytes { bytes in
            var json = JSONScanner(bytes, baseOffset: 1_000)
            #expect(
                throws: JSONError.unexpected(
                    byte: UInt8(ascii: "x"), expected: .value, offset: 1_003)
            ) { try json.skip() }
        }
        #expect(
            JSONError.unexpected(byte: 0x78, expected: .value, offset: 1_003).description
                == "'x' at byte 1003 where a value should be")
    }

    @Test func takingTheWrongTypeThrows() {
        func expect(_ text: String, _ take: (inout JSONScanner) throws -> Void) {
            Array(text.utf8).withUnsafeBytes { bytes in
                var json = JSONScanner(bytes)
                #expect(throws: JSONError.self, "\(text)") { try take(&json) }
            }
        }
        expect("1") { _ = try $0.string() }
        expect("\"1\"") { _ = try $0.integer() }
        expect("null") { _ = try $0.boolean() }
        expect("[]") { try $0.beginObject() }
        expect("{}") { try $0.beginArray() }
        expect("nul") { _ = try $0.takeNull() }
    }
}
