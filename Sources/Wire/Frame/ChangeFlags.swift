/// Which columns changed, of up to 64 columns of one subject: the flags of the last two frames and
/// what is remembered of those before.
///
/// Four kinds of columns follow from it. *Steady* ones changed in both of the last two frames, or in
/// neither but in one of the last 16 to 31: the flag is expected to stay as it was, and only
/// exceptions are sent, as distances between them among steady columns. *Wavering* ones changed in
/// one of the last two: one plain bit each. *Silent* ones, most of all, did not change for long: only exceptions are sent, as
/// distances among all columns.
struct ChangeFlags: BitwiseCopyable {
    /// The last frame's flags.
    var last: UInt64 = 0
    var beforeLast: UInt64 = 0
    /// Changed since the memory was turned.
    var recent: UInt64 = 0
    /// Changed in the 16 frames before that.
    var earlier: UInt64 = 0

    /// Frames after which the memory is turned.
    static let memoryFrames = 16

    @inline(__always)
    var wavering: UInt64 { last ^ beforeLast }

    @inline(__always)
    var steady: UInt64 { ~wavering & (last | recent | earlier) }

    /// What the steady columns' flags are expected to be; zero for all others.
    @inline(__always)
    var expected: UInt64 { last & beforeLast }

    /// No column has changed for long.
    @inline(__always)
    var isIdle: Bool { last | beforeLast | recent | earlier == 0 }

    @inline(__always)
    mutating func take(_ flags: UInt64, turning: Bool) {
        beforeLast = last
        last = flags
        recent |= flags
        if turning {
            earlier = recent
            recent = 0
        }
    }

    /// After a subject's first frame: columns that are not zero may change soon.
    mutating func begin(nonZero: UInt64) { self = ChangeFlags(recent: nonZero) }
}

/// What both ends have learnt about a group of slots since the last key frame.
struct GroupState: BitwiseCopyable {
    /// Running means for the distances between exceptions.
    private(set) var steady = 2 * 32
    private(set) var silent = 4 * 32
    /// Of the number of bits that the group takes.
    var length = SeriesState()

    /// Bits that hold either mean.
    static let meanBits = 11

    init() {}

    /// A state of its parts; `nil` where no frames could have led to it.
    init?(steady: Int, silent: Int, length: SeriesState) {
        let means = 0...LogarithmicMean.logarithmMax
        guard means.contains(steady), means.contains(silent) else { return nil }
        (self.steady, self.silent, self.length) = (steady, silent, length)
    }

    /// Nothing was learnt.
    var isInitial: Bool {
        steady == GroupState().steady && silent == GroupState().silent && length.isEmpty
    }

    var steadyParameter: Int { LogarithmicMean.parameter(steady) }
    var silentParameter: Int { LogarithmicMean.parameter(silent) }

    @inline(__always)
    mutating func learnSteady(_ distance: UInt64) {
        steady = LogarithmicMean.step(steady, to: LogarithmicMean.logarithm(distance))
    }

    @inline(__always)
    mutating func learnSilent(_ distance: UInt64) {
        silent = LogarithmicMean.step(silent, to: LogarithmicMean.logarithm(distance))
    }

    /// How the group's length is coded: as a change of a counter's column, at first with the
    /// parameter of a fresh one.
    var lengthModel: SeriesState.Model { 
        length.model(value: 0, unitBits: 0, isPositive: true, isFresh: true)
    }

    /// Parameter of the number of silent columns that changed.
    static let silentCountParameter = 0
}
