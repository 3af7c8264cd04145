/// Bits of a frame, least significant bit of each byte first.
///
/// `read` never leaves the payload: beyond its end there are zero bits, and `position` says
/// afterwards that too much was read.
struct BitReader {
    private let base: UnsafeRawPointer
    private let byteCount: Int
    /// Positions up to here have eight bytes to load.
    private let loadEnd: Int
    /// The next bit.
    private(set) var position: Int

    /// - Parameter bytes: must outlive the reader.
    init(_ bytes: UnsafeRawBufferPointer, byteOffset: Int) {
        base = bytes.baseAddress ?? UnsafeRawPointer(Self.empty)
        byteCount = bytes.count
        loadEnd = bytes.count &* 8 &- 57
        position = byteOffset &* 8
    }

    /// What an empty payload points at; never read.
    private nonisolated(unsafe) static let empty = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)

    var isPastEnd: Bool { position > byteCount &* 8 }
    var byteOffset: Int { min(position &>> 3, byteCount) }

    /// Whether only the zero bits that fill the last byte are left.
    var isAtEnd: Bool {
        let rest = byteCount &* 8 &- position
        return rest >= 0 && rest < 8 && peek() == 0
    }

    /// At least the next 56 bits, zeros above.
    @inline(__always)
    func peek() -> UInt64 {
        let byte = position &>> 3
        let shift = UInt64(truncatingIfNeeded: position & 7)
        if position <= loadEnd {
            return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: byte, as: UInt64.self))
                &>> shift
        }
        return peekAtEnd(byte) &>> shift
    }

    @inline(never)
    private func peekAtEnd(_ first: Int) -> UInt64 {
        var word: UInt64 = 0
        var byte = first
        var shift: UInt64 = 0
        while byte < byteCount, shift < 64 {
            word |= UInt64(base.load(fromByteOffset: byte, as: UInt8.self)) &<< shift
            byte &+= 1
            shift &+= 8
        }
        return word
    }

    @inline(__always)
    mutating func skip(_ bits: Int) { position &+= bits }

    mutating func skipToEnd() { position = byteCount &* 8 }

    @inline(__always)
    mutating func bit() -> Bool {
        let bit = peek() & 1
        position &+= 1
        return bit != 0
    }

    /// The next `count` bits, 0 to 56.
    @inline(__always)
    mutating func bits(_ count: Int) -> UInt64 {
        let word = peek() & ((1 &<< UInt64(truncatingIfNeeded: count)) &- 1)
        position &+= count
        return word
    }

    /// The next `count` bits, 0 to 64.
    mutating func longBits(_ count: Int) -> UInt64 {
        if count <= 32 { return bits(count) }
        let low = bits(32)
        return low | bits(count &- 32) &<< 32
    }

    /// The zero bits before the next one bit, which is passed too; `limit` where there are as many
    /// or more, of which `limit` are passed.
    @inline(__always)
    mutating func zeros(limit: Int) -> Int {
        let count = peek().trailingZeroBitCount
        if count >= limit {
            position &+= limit
            return limit
        }
        position &+= count &+ 1
        return count
    }
}

/// Writes what `BitReader` reads into memory of its own, which grows as needed and is kept.
struct BitWriter: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var byteCount = 0
    private var pending: UInt64 = 0
    private var pendingBits: UInt64 = 0

    init() {
        capacity = 1_024
        base = .allocate(capacity: capacity)
    }

    deinit { base.deallocate() }

    var bitCount: Int { byteCount &* 8 &+ Int(truncatingIfNeeded: pendingBits) }

    mutating func reset() {
        byteCount = 0
        pending = 0
        pendingBits = 0
    }

    /// Appends the low `count` bits of a word that has no others, 0 to 56.
    @inline(__always)
    mutating func append(_ bits: UInt64, count: Int) {
        pending |= bits &<< pendingBits
        pendingBits &+= UInt64(truncatingIfNeeded: count)
        guard pendingBits >= 8 else { return }
        if byteCount &+ 8 > capacity { grow() }
        UnsafeMutableRawPointer(base + byteCount).storeBytes(
            of: pending.littleEndian, as: UInt64.self)
        let whole = pendingBits &>> 3
        byteCount &+= Int(truncatingIfNeeded: whole)
        pending = whole == 8 ? 0 : pending &>> (whole &<< 3)
        pendingBits &= 7
    }

    /// Appends the low `count` bits of a word that has no others, 0 to 64.
    mutating func appendLong(_ bits: UInt64, count: Int) {
        if count > 32 {
            append(bits & 0xFFFF_FFFF, count: 32)
            append(bits &>> 32, count: count &- 32)
        } else {
            append(bits, count: count)
        }
    }

    /// Appends everything that another writer has, and empties it.
    mutating func append(taking other: inout BitWriter) {
        var byte = 0
        while byte &+ 4 <= other.byteCount {
            let word = UnsafeRawPointer(other.base + byte).loadUnaligned(as: UInt32.self)
            append(UInt64(UInt32(littleEndian: word)), count: 32)
            byte &+= 4
        }
        while byte < other.byteCount {
            append(UInt64(other.base[byte]), count: 8)
            byte &+= 1
        }
        append(other.pending, count: Int(truncatingIfNeeded: other.pendingBits))
        other.reset()
    }

    /// Fills the last byte with zero bits, hands over all bytes and starts anew.
    mutating func finish(into bytes: inout [UInt8]) {
        if pendingBits > 0 { append(0, count: Int(truncatingIfNeeded: 8 &- pendingBits)) }
        bytes.append(contentsOf: UnsafeBufferPointer(start: base, count: byteCount))
        reset()
    }

    private mutating func grow() {
        let bigger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
        bigger.update(from: base, count: byteCount)
        base.deallocate()
        base = bigger
        capacity *= 2
    }
}
