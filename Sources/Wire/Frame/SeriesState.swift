/// What both ends have learnt about one column of one subject since the last key frame, in a byte: how
/// large its changes are.
///
/// A *change* v is what the predictions leave of a value's difference, in units of its granularity;
/// never 0, since a change of 0 is not sent. It is coded as a number t, which is not 0 either: v where
/// changes are expected to be *positive*, else 1, 2, 3, 4, … for 1, -1, 2, -2, ….
struct SeriesState: BitwiseCopyable, Equatable {
    /// Of the sizes of t.
    private(set) var mean: SizeMean

    init(mean: SizeMean = SizeMean()) { self.mean = mean }

    var isEmpty: Bool { mean.isEmpty }

    /// The Golomb parameter of the next change.
    ///
    /// - Parameters:
    ///   - value: the value before the change.
    ///   - isFresh: in a subject's first frame.
    @inline(__always)
    func parameter(value: Int64, unitBits: UInt8, isFresh: Bool) -> Int {
        isEmpty ? Self.firstParameter(value, Int(unitBits), isFresh) : mean.parameter
    }

    /// A first change is taken to have five eighths of the value's bits.
    @inline(never)
    private static func firstParameter(_ value: Int64, _ unitBits: Int, _ isFresh: Bool) -> Int {
        if isFresh { return 8 }
        let bits = max(0, 64 &- value.magnitude.leadingZeroBitCount &- unitBits)
        return min((bits &* 5) &>> 3, ExponentialGolomb.parameterMax)
    }

    /// The number t of a change.
    @inline(__always)
    private static func number(_ change: Int64, isPositive: Bool) -> UInt64 {
        isPositive ? UInt64(bitPattern: change) : Varint.zigzag(0 &- change)
    }

    /// The change whose number is t. Without a branch, since it cannot be foreseen.
    @inline(__always)
    private static func change(_ number: UInt64, isPositive: Bool) -> Int64 {
        let either = 0 &- Varint.unzigzag(number)
        let positive = Int64(bitPattern: number)
        return either ^ ((either ^ positive) & (isPositive ? -1 : 0))
    }
}

extension SeriesState {
    /// Writes a change, not 0, and learns it.
    ///
    /// A change that the code at hand has no word for follows an escape: the prefix, a zero bit, and
    /// the change in full.
    @inline(__always)
    mutating func write(
        _ change: Int64, _ parameter: Int, isPositive: Bool, _ writer: inout BitWriter
    ) {
        let number = Self.number(change, isPositive: isPositive)
        if ExponentialGolomb.fits(number &- 1, parameter) {
            ExponentialGolomb.write(number &- 1, parameter, &writer)
            mean.learn(number)
        } else {
            Self.writeEscape(change, isRaw: false, &writer)
            mean.learn(Self.number(change, isPositive: isPositive && change > 0))
        }
    }

    /// What `read` found.
    enum Read {
        case change(Int64)
        /// Of the value itself, not in units.
        case raw(Int64)
    }

    /// Reads what `write` or `writeEscape` wrote, and learns it unless it is raw.
    @inline(__always)
    mutating func read(
        _ parameter: Int, isPositive: Bool, _ reader: inout BitReader
    ) -> Read {
        if let z = ExponentialGolomb.read(parameter, &reader) {
            let number = z &+ 1
            mean.learn(number)
            return .change(Self.change(number, isPositive: isPositive))
        }
        // By value, so that the reader can stay in registers.
        let long = Self.readLong(reader)
        reader = long.reader
        if long.isRaw { return .raw(long.change) }
        mean.learn(Self.number(long.change, isPositive: isPositive && long.change > 0))
        return .change(long.change)
    }

    /// The prefix, whether the change is raw, six bits for the number of bits less one, and the
    /// folded change.
    @inline(never)
    static func writeEscape(_ change: Int64, isRaw: Bool, _ writer: inout BitWriter) {
        let prefix = ExponentialGolomb.prefixLimit
        writer.append((isRaw ? 1 : 0) << UInt64(prefix), count: prefix + 1)
        let folded = Varint.zigzag(change)
        let count = max(64 - folded.leadingZeroBitCount, 1)
        writer.append(UInt64(count - 1), count: 6)
        writer.appendLong(folded, count: count)
    }

    /// Reads what `writeEscape` wrote, but for the prefix.
    @inline(never)
    static func readLong(
        _ start: BitReader
    ) -> (change: Int64, isRaw: Bool, reader: BitReader) {
        var reader = start
        let isRaw = reader.bit()
        let count = Int(truncatingIfNeeded: reader.bits(6)) &+ 1
        return (Varint.unzigzag(reader.longBits(count)), isRaw, reader)
    }
}
