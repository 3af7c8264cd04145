/// Searches that JSON's scanner, splitter and writer share.
extension UnsafeRawBufferPointer {
    /// Where the plain part of a string ends: the first quote, backslash, control character or byte
    /// outside ASCII at or after `start`; `count` if there is none. Eight bytes a step.
    @inline(__always)
    func firstStringDelimiter(from start: Int) -> Int {
        var index = start
        while index &+ 8 <= count {
            let word = UInt64(
                littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let marks =
                (ByteLanes.zeros(word ^ ByteLanes.all(0x22))
                    | ByteLanes.zeros(word ^ ByteLanes.all(0x5C))
                    | ((word &- ByteLanes.all(0x20)) & ~word) | word) & ByteLanes.all(0x80)
            if marks != 0 { return index &+ marks.trailingZeroBitCount >> 3 }
            index &+= 8
        }
        while index < count {
            let byte = self[index]
            if byte == 0x22 || byte == 0x5C || byte < 0x20 || byte >= 0x80 { return index }
            index &+= 1
        }
        return count
    }

    /// The first quote or backslash at or after `start`; `count` if there is none.
    @inline(__always)
    func firstQuoteOrBackslash(from start: Int) -> Int {
        var index = start
        while index &+ 8 <= count {
            let word = UInt64(
                littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let marks =
                (ByteLanes.zeros(word ^ ByteLanes.all(0x22))
                    | ByteLanes.zeros(word ^ ByteLanes.all(0x5C))) & ByteLanes.all(0x80)
            if marks != 0 { return index &+ marks.trailingZeroBitCount >> 3 }
            index &+= 8
        }
        while index < count, self[index] != 0x22, self[index] != 0x5C { index &+= 1 }
        return index
    }

    /// The offset behind the well-formed UTF-8 sequence of two to four bytes at `index` (Unicode
    /// standard, table 3-7); `nil` if it is not one.
    func endOfMultiByteScalar(at index: Int) -> Int? {
        func byte(_ offset: Int, _ range: ClosedRange<UInt8>) -> Bool {
            index &+ offset < count && range.contains(self[index &+ offset])
        }
        let tail: ClosedRange<UInt8> = 0x80...0xBF
        switch self[index] {
        case 0xC2...0xDF:
            return byte(1, tail) ? index &+ 2 : nil
        case 0xE0...0xEF:
            let lead = self[index]
            let second: ClosedRange<UInt8> =
                lead == 0xE0 ? 0xA0...0xBF : lead == 0xED ? 0x80...0x9F : tail
            return byte(1, second) && byte(2, tail) ? index &+ 3 : nil
        case 0xF0...0xF4:
            let lead = self[index]
            let second: ClosedRange<UInt8> =
                lead == 0xF0 ? 0x90...0xBF : lead == 0xF4 ? 0x80...0x8F : tail
            return byte(1, second) && byte(2, tail) && byte(3, tail) ? index &+ 4 : nil
        default:
            return nil
        }
    }
}

/// A word as eight bytes.
private enum ByteLanes {
    @inline(__always)
    static func all(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

    /// Sets the top bit of each zero byte. Bytes above the lowest marked one may be marked wrongly,
    /// so only the lowest mark counts; other bits are noise.
    @inline(__always)
    static func zeros(_ word: UInt64) -> UInt64 { (word &- all(1)) & ~word }
}

extension UInt8 {
    var isHexadecimalDigit: Bool {
        self &- UInt8(ascii: "0") < 10 || (self | 0x20) &- UInt8(ascii: "a") < 6
    }
}
