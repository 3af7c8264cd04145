import Foundation
import TestSupport
import Testing

@testable import Aggregator

@Suite struct JSONSplitterTests {
    private struct Split: Equatable {
        var items: [[UInt8]] = []
        var offsets: [Int] = []
        var envelope: [UInt8] = []
    }

    private func split(
        _ bytes: [UInt8], _ mode: JSONSplitter.Mode = .items, pieces: [Int],
        itemLimit: Int = 1 << 20,
        envelopeLimit: Int = 1 << 20
    ) throws -> Split {
        var splitter = JSONSplitter(mode, itemLimit: itemLimit, envelopeLimit: envelopeLimit)
        var result = Split()
        var start = 0
        for end in pieces + [bytes.count] {
            // A copy of its own, so that an address kept from an earlier piece would show.
            let piece = Array(bytes[start..<end])
            start = end
            try piece.withUnsafeBytes { piece in
                var index = 0
                while let item = try splitter.next(in: piece, at: &index) {
                    result.items.append(Array(item.bytes))
                    result.offsets.append(item.offset)
                }
            }
        }
        result.envelope = Array(try splitter.finish())
        return result
    }

    private let list = Array(
        (#" {"apiVersion":"v1","x":["items",{"items":[{}]}],"n\"items":[1],"items": [ {"a":"]}{\\\""} ,"#
            + #"{"b":[{"items":[]}]},{}],"metadata":{"continue":"items"},"kind":"List"} "#).utf8)

    @Test func itemsAndEnvelopeAreSeparatedWhereverThePiecesEnd() throws {
        let whole = try split(list, pieces: [])
        #expect(
            whole.items.map { String(decoding: $0, as: UTF8.self) }
                == [#"{"a":"]}{\\\""}"#, #"{"b":[{"items":[]}]}"#, "{}"])
        for (item, offset) in zip(whole.items, whole.offsets) {
            #expect(Array(list[offset..<offset + item.count]) == item)
        }
        let envelope = try #require(JSONTree(foundation: whole.envelope))
        guard case .object(let members) = envelope else { return #expect(Bool(false)) }
        #expect(members["items"] == .array([]))
        #expect(members["kind"] == .string("List"))
        for cut in 0...list.count {
            #expect(try split(list, pieces: [cut]) == whole, "cut at \(cut)")
        }
        #expect(try split(list, pieces: Array(1..<list.count)) == whole)
        for seed in UInt64(0)..<300 {
            var random = SeededRandom(seed: seed)
            let cuts = (0..<random.below(12)).map { _ in random.below(list.count) }.sorted()
            #expect(try split(list, pieces: cuts) == whole, "seed \(seed)")
        }
    }

    @Test func truncationAtEveryByteThrows() throws {
        // The last byte is white space.
        for count in 1..<list.count - 1 {
            #expect(throws: JSONError.self, "\(count)") {
                let part = try self.split(Array(self.list[..<count]), pieces: [])
                // Before the outermost brace nothing is open: the envelope then is no object.
                _ = try JSONTree(scanning: part.envelope)
            }
        }
    }

    @Test func randomListsComeApartAsFoundationReadsThem() throws {
        for seed in UInt64(0)..<500 {
            var random = SeededRandom(seed: seed)
            var items: [[UInt8]] = []
            for _ in 0..<random.below(6) {
                items.append(Array("{\"v\":".utf8) + JSONMaker.document(&random) + Array("}".utf8))
            }
            let before = Array("{\"a\":".utf8) + JSONMaker.document(&random)
            let after = Array("],\"z\":".utf8) + JSONMaker.document(&random) + Array("}".utf8)
            let bytes =
                before + Array(",\"items\" :[".utf8) + items.joined(separator: [0x2C]) + after
            let cuts = (0..<random.below(8)).map { _ in random.below(bytes.count) }.sorted()
            let parts = try split(bytes, pieces: cuts)
            #expect(parts.items == items, "seed \(seed)")
            let shell = before + Array(",\"items\" :[".utf8) + after
            #expect(parts.envelope == shell, "seed \(seed)")
        }
    }

    /// Whatever the splitter lets through, splitter and scanner together refuse what is not JSON.
    @Test func mutationsAreJudgedAsFoundationJudgesThem() throws {
        var accepted = 0
        for seed in UInt64(0)..<6_000 {
            var random = SeededRandom(seed: seed)
            var bytes = list
            let index = random.below(bytes.count)
            switch random.below(4) {
            case 0: bytes[index] ^= 1 << UInt8(random.below(7))
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(random.element(Array("{}[],:\"\\ 0".utf8)), at: index)
            default: bytes.swapAt(index, random.below(bytes.count))
            }
            guard JSONTree.foundationIsStrict(about: bytes) else { continue }
            let cuts = (0..<random.below(5)).map { _ in random.below(bytes.count) }.sorted()
            var ours: Bool
            do {
                let parts = try split(bytes, pieces: cuts)
                for item in parts.items { _ = try JSONTree(scanning: item) }
                _ = try JSONTree(scanning: parts.envelope)
                ours = true
            } catch {
                ours = false
            }
            let theirs = JSONTree(foundation: bytes)
            if ours { accepted += 1 }
            if ours != (theirs != nil) {
                // Items that are not objects are JSON, but no list of Kubernetes.
                let shown = String(decoding: bytes, as: UTF8.self)
                guard case .object(let members)? = theirs,
                    case .array(let items)? = members["items"]
                else {
                    #expect(ours == (theirs != nil), "seed \(seed): \(shown)")
                    continue
                }
                let hasOthers = items.contains { item in
                    if case .object = item { return false }
                    return true
                }
                #expect(!ours && hasOthers, "seed \(seed): \(shown)")
            }
        }
        #expect(accepted > 500)
    }

    @Test func documentsOfAWatchComeOneByOne() throws {
        let bytes = Array("{\"type\":\"ADDED\"}\n{\"a\":[{}]}\r\n\n{}\n".utf8)
        for cut in 0...bytes.count {
            let parts = try split(bytes, .documents, pieces: [cut])
            #expect(
                parts.items.map { String(decoding: $0, as: UTF8.self) }
                    == ["{\"type\":\"ADDED\"}", "{\"a\":[{}]}", "{}"])
            #expect(parts.envelope.isEmpty)
        }
        #expect(throws: JSONError.self) { try split(Array("{}x".utf8), .documents, pieces: []) }
        #expect(throws: JSONError.truncated(offset: 5)) {
            try split(Array("{} {\"".utf8), .documents, pieces: [])
        }
    }

    @Test func sizesAreLimitedInOnePieceAndInMany() throws {
        let item = "{\"a\":\"" + String(repeating: "x", count: 100) + "\"}"
        let bytes = Array("{\"items\":[\(item)]}".utf8)
        for pieces in [[], Array(1..<bytes.count)] {
            #expect(try split(bytes, pieces: pieces, itemLimit: item.utf8.count).items.count == 1)
            #expect(throws: JSONError.tooLarge(what: "an object", limit: 50, offset: 10)) {
                try split(bytes, pieces: pieces, itemLimit: 50)
            }
        }
        let envelope = Array("{\"a\":\"\(String(repeating: "x", count: 100))\"}".utf8)
        #expect(throws: JSONError.self) { try split(envelope, pieces: [], envelopeLimit: 50) }
    }

    @Test func aDocumentWithoutItemsIsAllEnvelope() throws {
        let bytes = Array(#"{"kind":"Pod","spec":{"items":[{"a":1}]}}"#.utf8)
        let parts = try split(bytes, pieces: [7, 20])
        #expect(parts.items.isEmpty && parts.envelope == bytes)
    }
}
