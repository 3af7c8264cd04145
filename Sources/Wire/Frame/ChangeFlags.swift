/// Which columns changed, of up to 64 columns of one subject: the flags of the frame at hand, and what
/// is remembered of those before.
///
/// Two kinds of columns follow from it. *Active* ones changed in one of the last 8 to 15 frames: one
/// plain bit each says whether they did now. *Silent* ones, most of all, did not: only exceptions are
/// sent, as distances among all columns.
struct ChangeFlags: BitwiseCopyable {
    /// The last frame's flags.
    var last: UInt64 = 0
    /// Changed since the memory was turned.
    var recent: UInt64 = 0
    /// Changed in the 8 frames before that.
    var earlier: UInt64 = 0

    /// Frames after which the memory is turned.
    static let memoryFrames = 8

    @inline(__always)
    var active: UInt64 { recent | earlier }

    @inline(__always)
    mutating func take(_ flags: UInt64, turning: Bool) {
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
struct GroupState: BitwiseCopyable, Equatable {
    /// Of the distances between silent columns that changed, each plus one: of three bits at first.
    private(set) var silent = SizeMean(13)
    /// Of the number of bits that the group takes.
    var length = SeriesState()

    init() {}

    /// A state of its parts; `nil` where no frames could have led to it.
    init?(silent: SizeMean, length: SeriesState) {
        guard !silent.isEmpty else { return nil }
        (self.silent, self.length) = (silent, length)
    }

    /// Nothing was learnt.
    var isInitial: Bool { self == GroupState() }

    @inline(__always)
    mutating func learnSilent(_ distance: UInt64) { silent.learn(distance &+ 1) }

    /// The group's length is coded as a change of a counter's column, at first with the parameter of
    /// a fresh one.
    var lengthParameter: Int { length.parameter(value: 0, unitBits: 0, isFresh: true) }

    /// Parameter of the number of silent columns that changed.
    static let silentCountParameter = 0
}
