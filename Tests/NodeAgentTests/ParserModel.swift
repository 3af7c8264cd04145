@testable import NodeAgent

/// What a parser makes of a file, in a form that a model can make too.
typealias Parsed = [String: Int64]

/// A parser under test, a file that it reads, and a second opinion on any bytes whatever.
struct ParserCase: Sendable, CustomStringConvertible {
    var description: String
    var sample: [UInt8]
    /// `nil` where the parser throws.
    var parse: @Sendable (KernelText) -> Parsed?
    /// The same by splitting lines and words; shares no code with the parser.
    var model: @Sendable ([UInt8]) -> Parsed?

    init(
        _ description: String, _ sample: String,
        parse: @escaping @Sendable (KernelText) throws(KernelTextError) -> Parsed,
        model: @escaping @Sendable ([UInt8]) -> Parsed?
    ) {
        self.description = description
        self.sample = Array(sample.utf8)
        self.parse = { text in
            do throws(KernelTextError) { return try parse(text) } catch { return nil }
        }
        self.model = model
    }

    func parsed(_ bytes: [UInt8]) -> Parsed? { bytes.withUnsafeBufferPointer { parse($0) } }
}

/// The words of models: bytes split in the plainest way.
enum Model {
    /// Lines without their ends; `nil` where the last one has none.
    static func lines(_ bytes: [UInt8]) -> [[UInt8]]? {
        guard bytes.last == 10 else { return nil }
        return bytes.dropLast().split(separator: 10, omittingEmptySubsequences: false).map(
            Array.init)
    }

    /// A decimal number and nothing else.
    static func number(_ bytes: some Collection<UInt8>) -> Int64? {
        guard (1...20).contains(bytes.count), bytes.allSatisfy({ (48...57).contains($0) }) else {
            return nil
        }
        if bytes.count == 20 { return .max }
        var value: UInt64 = 0
        for byte in bytes { value = value * 10 + UInt64(byte - 48) }
        return Int64(clamping: value)
    }

    /// Fields split at single spaces.
    static func fields(_ line: [UInt8]) -> [[UInt8]] {
        line.split(separator: 32, omittingEmptySubsequences: false).map(Array.init)
    }

    /// Words split at any number of spaces and tabs.
    static func words(_ line: [UInt8]) -> [[UInt8]] { words(line[...]) }

    static func words(_ line: ArraySlice<UInt8>) -> [[UInt8]] {
        line.split { $0 == 32 || $0 == 9 }.map(Array.init)
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// `13.85` in thousandths.
    static func thousandths(_ bytes: [UInt8]) -> Int64? {
        let parts = bytes.split(separator: 46, maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = number(parts[0]) else { return nil }
        let (thousands, overflow) = whole.multipliedReportingOverflow(by: 1_000)
        if overflow { return nil }
        guard parts.count == 2 else { return thousands }
        guard parts[1].allSatisfy({ (48...57).contains($0) }) else { return nil }
        let digits = Array(parts[1].prefix(3)) + [48, 48, 48]
        return digits.prefix(3).enumerated().reduce(thousands) { sum, digit in
            sum + Int64(digit.element - 48) * [100, 10, 1][digit.offset]
        }
    }

    /// `254:0`
    static func device(_ bytes: some Collection<UInt8>) -> String? {
        let parts = bytes.split(separator: 58, omittingEmptySubsequences: false)
        guard parts.count == 2, let major = number(parts[0]), let minor = number(parts[1]),
            major <= Int64(UInt32.max), minor <= Int64(UInt32.max)
        else { return nil }
        return "\(major):\(minor)"
    }
}
