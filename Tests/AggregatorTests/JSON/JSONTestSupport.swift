import Foundation
import TestSupport

@testable import Aggregator

extension SeededRandom {
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
    mutating func element<C: RandomAccessCollection>(_ items: C) -> C.Element {
        items[items.index(items.startIndex, offsetBy: below(items.count))]
    }
}

/// A JSON value as both readers can be made to say it.
indirect enum JSONTree: Equatable {
    case null
    case boolean(Bool)
    case number(Double)
    case string(String)
    case array([JSONTree])
    case object([String: JSONTree])

    /// By the scanner: a whole document.
    init(scanning bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            let tree = try JSONTree(&scanner)
            try scanner.end()
            return tree
        }
    }

    init(_ json: inout JSONScanner) throws(JSONError) {
        switch try json.peek() {
        case UInt8(ascii: "{"):
            var members: [String: JSONTree] = [:]
            try json.beginObject()
            while let key = try json.nextKey() {
                let name = key.string
                members[name] = try JSONTree(&json)
            }
            self = .object(members)
        case UInt8(ascii: "["):
            var elements: [JSONTree] = []
            try json.beginArray()
            while try json.nextElement() { elements.append(try JSONTree(&json)) }
            self = .array(elements)
        case UInt8(ascii: "\""): self = .string(try json.string().string)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): self = .boolean(try json.boolean())
        case UInt8(ascii: "n"):
            guard try json.takeNull() else { throw JSONError.truncated(offset: -1) }
            self = .null
        default: self = .number(try json.number().double)
        }
    }

    /// By Foundation, which this project's own code does not use; `nil` where it refuses.
    init?(foundation bytes: [UInt8]) {
        guard
            let object = try? JSONSerialization.jsonObject(
                with: Data(bytes), options: .fragmentsAllowed)
        else { return nil }
        self.init(object)
    }

    /// Whether Foundation judges a text by RFC 8259. It refuses halves of surrogate pairs, which the
    /// grammar allows, takes a comma before a closing bracket, which it does not, and guesses
    /// other encodings from NUL bytes and byte order marks.
    static func foundationIsStrict(about bytes: [UInt8]) -> Bool {
        if String(decoding: bytes, as: UTF8.self).lowercased().contains("\\ud") { return false }
        if bytes.contains(0) || bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return false }
        if bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE]) { return false }
        let dense = bytes.filter { $0 > 0x20 }
        return !zip(dense, dense.dropFirst()).contains { pair in
            pair.0 == UInt8(ascii: ",")
                && (pair.1 == UInt8(ascii: "}") || pair.1 == UInt8(ascii: "]"))
        }
    }

    private init(_ object: Any) {
        switch object {
        case let text as String: self = .string(text)
        case let array as [Any]: self = .array(array.map { JSONTree($0) })
        case let members as [String: Any]: self = .object(members.mapValues { JSONTree($0) })
        case let number as NSNumber:
            // Only booleans have the Objective-C type `c`.
            switch String(cString: number.objCType) {
            case "c": self = .boolean(number.boolValue)
            default: self = .number(number.doubleValue)
            }
        default: self = .null
        }
    }
}

/// Random documents.
enum JSONMaker {
    static func document(_ random: inout SeededRandom, depth: Int = 0) -> [UInt8] {
        let space = Array(
            ["", "", "", " ", "\n  ", "\t", "\r\n                    "][random.below(7)].utf8)
        return space + value(&random, depth: depth) + space
    }

    private static func value(_ random: inout SeededRandom, depth: Int) -> [UInt8] {
        switch random.below(depth > 4 ? 5 : 8) {
        case 0: return string(&random)
        case 1: return number(&random)
        case 2: return Array("true".utf8)
        case 3: return Array("false".utf8)
        case 4: return Array("null".utf8)
        case 5:
            return list(&random, open: "[", close: "]") { document(&$0, depth: depth + 1) }
        default:
            return list(&random, open: "{", close: "}") { random in
                string(&random) + Array([":", " : "][random.below(2)].utf8)
                    + document(&random, depth: depth + 1)
            }
        }
    }

    private static func list(
        _ random: inout SeededRandom, open: String, close: String,
        element: (inout SeededRandom) -> [UInt8]
    ) -> [UInt8] {
        var bytes = Array(open.utf8)
        for index in 0..<random.below(5) {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += element(&random)
        }
        return bytes + Array(close.utf8)
    }

    static func string(_ random: inout SeededRandom) -> [UInt8] {
        let parts = [
            "a", "metadata", "é", "漢字", "😀", "\\n", "\\\"", "\\\\", "\\/", "\\u0041",
            "\\ud83d\\ude00",
            "\\u00e9", "{", "]", ",", ":", "a long run of plain text, longer than a word", "\u{7F}",
            "\u{FFFF}", "\u{10FFFF}", "'", "\\b\\f\\r\\t", "<&>",
        ]
        var text = "\""
        for _ in 0..<random.below(6) { text += random.element(parts) }
        return Array((text + "\"").utf8)
    }

    static func number(_ random: inout SeededRandom) -> [UInt8] {
        switch random.below(5) {
        // Beyond 2^53 Foundation does not always find the nearest double.
        case 0:
            return Array(
                String(Int64(truncatingIfNeeded: random.next()) >> (11 + random.below(52))).utf8)
        case 1: return Array("\(random.below(1000)).\(random.below(100_000))".utf8)
        case 2:
            return Array("-\(random.below(10)).\(random.below(100))e\(random.below(40) - 20)".utf8)
        case 3: return Array("\(random.below(10))E+\(random.below(20))".utf8)
        default: return Array(random.element(["0", "-0", "0.0", "1", "-1.5e-3"]).utf8)
        }
    }
}
