/// The one integer code of a frame: exponential Golomb with a parameter k that both ends know.
///
/// With y = z + 2^k and n the number of the top bit of y: n - k zero bits, a one bit, and the low n
/// bits of y. A value around 2^k takes about k + 2 bits. More than `prefixLimit` - 1 zeros would be
/// an escape, which is what the callers make of it.
enum ExponentialGolomb {
    /// As many zero bits in front do not belong to a value of this code.
    static let prefixLimit = 20
    /// Parameters greater than this are not used.
    static let parameterMax = 40

    /// Whether z has a code with this parameter.
    @inline(__always)
    static func fits(_ z: UInt64, _ k: Int) -> Bool {
        z < 1 &<< UInt64(truncatingIfNeeded: k &+ prefixLimit &- 1)
    }

    /// - Precondition: `fits(z, k)`, k is at most `parameterMax`.
    @inline(__always)
    static func write(_ z: UInt64, _ k: Int, _ writer: inout BitWriter) {
        let y = z &+ 1 &<< UInt64(truncatingIfNeeded: k)
        let n = 63 &- y.leadingZeroBitCount
        let zeros = n &- k
        let low = y & ((1 &<< UInt64(truncatingIfNeeded: n)) &- 1)
        if zeros &+ 1 &+ n <= 56 {
            let code = (low &<< 1 | 1) &<< UInt64(truncatingIfNeeded: zeros)
            writer.append(code, count: zeros &+ 1 &+ n)
        } else {
            writer.append(1 &<< UInt64(truncatingIfNeeded: zeros), count: zeros &+ 1)
            writer.appendLong(low, count: n)
        }
    }

    /// Reads a value; `nil` for an escape, of which only the zero bits are passed.
    @inline(__always)
    static func read(_ k: Int, _ reader: inout BitReader) -> UInt64? {
        let word = reader.peek()
        let zeros = (word | 1 &<< UInt64(prefixLimit)).trailingZeroBitCount
        let n = zeros &+ k
        guard zeros < prefixLimit, zeros &+ n < 56 else {
            // By value, so that the reader can stay in registers.
            let long = readLong(k, reader)
            reader = long.reader
            return long.z
        }
        let top: UInt64 = 1 &<< UInt64(truncatingIfNeeded: n)
        let low = (word &>> UInt64(truncatingIfNeeded: zeros)) &>> 1 & (top &- 1)
        reader.skip(zeros &+ 1 &+ n)
        return (top | low) &- 1 &<< UInt64(truncatingIfNeeded: k)
    }

    @inline(never)
    private static func readLong(_ k: Int, _ start: BitReader) -> (z: UInt64?, reader: BitReader) {
        var reader = start
        let zeros = reader.zeros(limit: prefixLimit)
        guard zeros < prefixLimit else { return (nil, reader) }
        let n = zeros &+ k
        let top: UInt64 = 1 &<< UInt64(truncatingIfNeeded: n)
        let z = (top | reader.longBits(n)) &- 1 &<< UInt64(truncatingIfNeeded: k)
        return (z, reader)
    }
}

/// A running mean of the sizes of numbers, in one byte, from which comes the parameter for the next.
struct SizeMean: BitwiseCopyable, Equatable {
    /// 1 + the mean in quarters of a bit, 0 before the first number.
    private(set) var rawValue: UInt8

    /// The size of the greatest numbers.
    private static let sizeMax = ExponentialGolomb.parameterMax - 1
    private static let rawValueMax = 1 + 4 * sizeMax

    /// - Parameter raw: at most `rawValueMax`.
    init(_ raw: UInt8 = 0) {
        precondition(raw <= Self.rawValueMax, "a mean size of \(raw) quarters of a bit")
        rawValue = raw
    }

    /// `nil` where no numbers could have led to it.
    init?(checking raw: UInt64) {
        guard raw <= UInt64(Self.rawValueMax) else { return nil }
        rawValue = UInt8(raw)
    }

    var isEmpty: Bool { rawValue == 0 }

    /// The Golomb parameter when it is not empty: the mean, rounded down, plus one.
    @inline(__always)
    var parameter: Int { (Int(truncatingIfNeeded: rawValue) &+ 3) &>> 2 }

    /// Goes one quarter of the way to the size of a number, not 0: the position of its top bit.
    @inline(__always)
    mutating func learn(_ number: UInt64) {
        let size = min(63 &- (number | 1).leadingZeroBitCount, Self.sizeMax) &* 4 &+ 1
        let old = Int(truncatingIfNeeded: rawValue)
        let next = old &+ (size &- old &+ 2) &>> 2
        rawValue = UInt8(truncatingIfNeeded: old == 0 ? size : next)
    }
}
