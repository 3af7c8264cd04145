import TestSupport
import Testing

@testable import NodeAgent

/// Every parser of kernel files against its model: whole, cut at every byte, with every bit turned,
/// and on random bytes.
@Suite struct ParserTests {
    @Test(arguments: ParserCase.all)
    func aWholeFileIsReadAsTheModelReadsIt(_ parser: ParserCase) throws {
        let parsed = try #require(parser.parsed(parser.sample))
        #expect(!parsed.isEmpty)
        #expect(parsed == parser.model(parser.sample))
    }

    @Test(arguments: ParserCase.all)
    func aFileCutAtAnyByteIsReadAsTheModelReadsIt(_ parser: ParserCase) {
        var refused = 0
        for count in 0..<parser.sample.count {
            let cut = Array(parser.sample[..<count])
            let parsed = parser.parsed(cut)
            #expect(parsed == parser.model(cut), "\(parser), \(count) bytes")
            if parsed == nil { refused += 1 }
        }
        #expect(refused > 0, "a cut inside a line must be seen")
    }

    @Test(arguments: ParserCase.all)
    func everySingleBitFlipIsReadAsTheModelReadsIt(_ parser: ParserCase) {
        for index in parser.sample.indices {
            for bit in 0..<8 {
                var bytes = parser.sample
                bytes[index] ^= 1 << UInt8(bit)
                #expect(
                    parser.parsed(bytes) == parser.model(bytes),
                    "\(parser), byte \(index) bit \(bit)")
            }
        }
    }

    /// Random files of the bytes that such files have, so that some of them are well-formed.
    @Test(arguments: ParserCase.all)
    func randomBytesAreReadAsTheModelReadsThem(_ parser: ParserCase) {
        var random = SeededRandom(seed: 20_26)
        for round in 0..<2_000 {
            var bytes = parser.sample
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<max(1, bytes.count), using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0 where !bytes.isEmpty: bytes.remove(at: index)
                case 1:
                    let other = parser.sample[
                        Int.random(in: 0..<parser.sample.count, using: &random)]
                    bytes.insert(other, at: index)
                case 2 where !bytes.isEmpty:
                    bytes[index] = UInt8.random(in: .min ... .max, using: &random)
                default: bytes.insert(UInt8(ascii: "7"), at: min(index, bytes.count))
                }
            }
            #expect(
                parser.parsed(bytes) == parser.model(bytes),
                "\(parser), round \(round): \(Model.text(bytes))")
        }
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            #expect(parser.parsed(bytes) == parser.model(bytes))
        }
    }
}
