/// What both ends have learnt about one column of one subject since the last key frame, in 64 bits.
///
/// A *change* v is what the predictions leave of a value's difference, in units of its granularity;
/// never 0, since a change of 0 is not sent. Kept are
///
/// - `plain`, bits 0...11: 1 + the mean logarithm of the changes as such; 0 before the first one;
/// - `centred`, bits 12...23: 1 + the mean logarithm of the changes less `middle`; 4,095 before the
///   second one;
/// - `middle`, bits 24...63, signed: where recent changes lie, half-way to each new one.
///
/// Whichever mean is less says how the next change is coded.
struct SeriesState {
    private(set) var rawValue: UInt64

    init() { rawValue = 0 }

    /// A state of its parts; `nil` where no changes could have led to it.
    ///
    /// - Parameter centred: `nil` before the second change.
    init?(plain: Int, centred: Int?, middle: Int64) {
        let means = 1...1 + LogarithmicMean.signedMax
        guard means.contains(plain), means.contains(centred ?? plain),
            (-Self.middleLimit...Self.middleLimit).contains(middle)
        else { return nil }
        rawValue = 0
        store(plain: plain, centred: centred ?? Self.unknown, middle: middle)
    }

    var isEmpty: Bool { rawValue == 0 }
    var plain: Int { Int(truncatingIfNeeded: rawValue & 0xFFF) }
    var centred: Int { Int(truncatingIfNeeded: rawValue &>> 12 & 0xFFF) }
    var isCentredKnown: Bool { centred != Self.unknown }
    var middle: Int64 { Int64(bitPattern: rawValue) &>> 24 }

    /// Distance between the two means from which on a change is coded less `middle`.
    private static let margin = 8
    private static let unknown = 4_095
    private static let middleLimit: Int64 = 1 << 39 - 1

    /// How the next change is coded: as middle - unzigzag(z + 1), where middle is 0 and z + 1 is z
    /// if it is centred; or as z + 1 if only positive changes are expected.
    struct Model {
        let parameter: Int
        /// All ones where the change is coded less a middle.
        fileprivate let isCentred: Int64
        /// All ones where negative changes are escapes.
        fileprivate let isPositive: Int64
        /// 0 where it is not centred.
        fileprivate let middle: Int64

        /// The number that stands for a change.
        @inline(__always)
        func fold(_ change: Int64) -> UInt64 {
            if isPositive != 0 { return UInt64(bitPattern: change &- 1) }
            return Varint.zigzag(middle &- change) &- 1 &- UInt64(bitPattern: isCentred)
        }

        /// Without a branch, since none of it can be foreseen.
        @inline(__always)
        func unfold(_ z: UInt64) -> Int64 {
            let next = z &+ 1 &+ UInt64(bitPattern: isCentred)
            let either = middle &- Varint.unzigzag(next)
            return either ^ ((either ^ Int64(bitPattern: next)) & isPositive)
        }
    }

    /// - Parameters:
    ///   - value: the value before the change.
    ///   - isFresh: in a subject's first frame.
    @inline(__always)
    func model(value: Int64, unitBits: UInt8, isPositive: Bool, isFresh: Bool) -> Model {
        let positive: Int64 = isPositive ? -1 : 0
        if rawValue == 0 {
            return Model(
                parameter: Self.firstParameter(value, Int(unitBits), isFresh), isCentred: 0,
                isPositive: positive, middle: 0)
        }
        let (plain, centred) = (plain, centred)
        // All ones where it is less.
        let isCentred = Int64(centred &+ Self.margin &- plain) &>> 63
        let onlyPositive = positive & ~isCentred
        let mean = plain &+ (centred &- plain) & Int(isCentred)
        return Model(
            parameter: LogarithmicMean.parameter(ofSigned: mean &- 1, isPositive: onlyPositive),
            isCentred: isCentred, isPositive: onlyPositive, middle: middle & isCentred)
    }

    /// A first change is taken to have five eighths of the value's bits.
    @inline(never)
    private static func firstParameter(_ value: Int64, _ unitBits: Int, _ isFresh: Bool) -> Int {
        if isFresh { return 8 }
        let bits = max(0, 64 &- value.magnitude.leadingZeroBitCount &- unitBits)
        return min((bits &* 5) &>> 3, ExponentialGolomb.parameterMax)
    }

    /// Learns a change.
    @inline(__always)
    mutating func learn(_ change: Int64) {
        let clamped = min(max(change, -Self.middleLimit), Self.middleLimit)
        let plainLog = LogarithmicMean.logarithm(signed: clamped) &+ 1
        if rawValue == 0 {
            store(plain: plainLog, centred: Self.unknown, middle: clamped)
            return
        }
        let (plain, centred) = (plain, centred)
        let distance = clamped &- middle
        let centredLog = LogarithmicMean.logarithm(signed: distance) &+ 1
        store(
            plain: LogarithmicMean.step(plain, to: plainLog),
            centred: centred == Self.unknown
                ? centredLog : LogarithmicMean.step(centred, to: centredLog),
            middle: middle &+ distance &>> 1)
    }

    @inline(__always)
    private mutating func store(plain: Int, centred: Int, middle: Int64) {
        rawValue =
            UInt64(bitPattern: middle) &<< 24
            | UInt64(truncatingIfNeeded: centred) &<< 12
            | UInt64(truncatingIfNeeded: plain)
    }
}

extension SeriesState {
    /// Writes a change, not 0, and learns it.
    ///
    /// A change that the code at hand has no word for follows an escape: the prefix, a zero bit, and
    /// the change in full.
    @inline(__always)
    mutating func write(_ change: Int64, _ model: Model, _ writer: inout BitWriter) {
        let z = model.fold(change)
        if ExponentialGolomb.fits(z, model.parameter) {
            ExponentialGolomb.write(z, model.parameter, &writer)
        } else {
            Self.writeEscape(change, isRaw: false, &writer)
        }
        learn(change)
    }

    /// What `read` found.
    enum Read {
        case change(Int64)
        /// Of the value itself, not in units.
        case raw(Int64)
    }

    /// Reads what `write` or `writeEscape` wrote, and learns it unless it is raw.
    @inline(__always)
    mutating func read(_ model: Model, _ reader: inout BitReader) -> Read {
        let change: Int64
        if let z = ExponentialGolomb.read(model.parameter, &reader) {
            change = model.unfold(z)
        } else {
            // By value, so that the reader can stay in registers.
            let long = Self.readLong(reader)
            reader = long.reader
            if long.isRaw { return .raw(long.change) }
            change = long.change
        }
        learn(change)
        return .change(change)
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
