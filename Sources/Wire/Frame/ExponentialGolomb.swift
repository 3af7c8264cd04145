/// The one integer code of a frame: exponential Golomb with a parameter k that both ends know.
///
/// With y = z + 2^k and n the number of the top bit of y: n - k zero bits, a one bit, and the low n
/// bits of y. A value around 2^k takes about k + 2 bits. More than `prefixLimit` - 1 zeros would be
/// an escape, which is what the callers make of it.
enum ExponentialGolomb {
    /// As many zero bits in front do not belong to a value of this code.
    static let prefixLimit = 20
    /// Parameters greater than this are not used.
    static let parameterMax = 41

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
        // With a bit set the count needs no test for zero.
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

/// A running mean of 32 * log2(z + 1), from which comes the parameter for the next z.
struct LogarithmicMean {
    /// The logarithm of the greatest numbers.
    static let logarithmMax = 48 * 32

    /// 32 * log2(z + 1), by straight lines between powers of two and no more than for 2^48 - 1:
    /// 0...1536.
    @inline(__always)
    static func logarithm(_ z: UInt64) -> Int {
        // A double's exponent and the top of its mantissa are just that.
        let y = Double(Int64(bitPattern: min(z, 1 &<< 48 &- 1) &+ 1))
        return Int(truncatingIfNeeded: y.bitPattern &>> 47) &- 1_023 &* 32
    }

    /// 32 * log2(|2v - 1|), by straight lines between powers of two, of numbers below 2^40 in
    /// magnitude: 0...1312.
    @inline(__always)
    static func logarithm(signed value: Int64) -> Int {
        // As above; shifted to the left the sign is gone.
        let y = Double(value &<< 1 &- 1)
        return Int(truncatingIfNeeded: (y.bitPattern &<< 1) &>> 48) &- 1_023 &* 32
    }

    /// The greatest of those.
    static let signedMax = 41 * 32

    /// The Golomb parameter for a signed number, rounded; one less if all ones in `isPositive` say
    /// that only positive numbers have a code.
    @inline(__always)
    static func parameter(ofSigned mean: Int, isPositive: Int64) -> Int {
        max(mean &+ 16 &- (32 & Int(isPositive)), 0) &>> 5
    }

    /// One quarter of the way to a new value.
    @inline(__always)
    static func step(_ mean: Int, to value: Int) -> Int { mean &+ (value &- mean &+ 2) &>> 2 }

    /// The Golomb parameter, rounded.
    @inline(__always)
    static func parameter(_ mean: Int) -> Int {
        min((mean &+ 16) &>> 5, ExponentialGolomb.parameterMax)
    }
}
