import Wire

/// The newest frames of an agent run, to be sent and sent again: what a real agent's ring holds.
///
/// Frames do not say whose they are, so one log can serve many nodes that differ in their
/// dictionaries only. Belongs to one loop's thread.
final class FrameLog {
    /// One frame with what must be sent before it.
    struct Step {
        let sequence: UInt64
        /// The chain's number: the sequence of its first frame.
        let chain: ChainID
        /// Changes of the dictionary from this frame on.
        let changes: [SubjectChange]
        /// The whole frame record.
        let record: [UInt8]
        /// Values in the frame.
        let sampleCount: Int
        /// When the values were taken, on the monotonic clock.
        let takenNanoseconds: UInt64

        var beginsChain: Bool { sequence == chain }
    }

    private var steps: [Step] = []
    /// Index of the oldest kept frame in `steps`.
    private var start = 0
    private let capacity: Int
    /// Set by a node that cannot go on with the chain; the recorder begins another.
    var needsNewChain = true

    init(capacity: Int) { self.capacity = capacity }

    /// The chain of the newest frame, 0 before the first.
    var chain: ChainID { steps.last?.chain ?? 0 }
    /// Sequence of the newest frame, 0 before the first.
    var newest: UInt64 { steps.last?.sequence ?? 0 }
    /// Sequence of the oldest frame that is kept, 0 before the first.
    var oldest: UInt64 { start < steps.count ? steps[start].sequence : 0 }

    func append(_ step: Step) {
        precondition(step.sequence == newest + 1, "frame \(step.sequence) after \(newest)")
        steps.append(step)
        if steps.count - start > capacity { start += 1 }
        if start > 2 * capacity {
            steps.removeSubrange(0..<start)
            start = 0
        }
    }

    /// `nil` for a frame that is not yet or no longer there.
    subscript(sequence: UInt64) -> Step? {
        guard sequence >= oldest, sequence <= newest, oldest > 0 else { return nil }
        return steps[start + Int(sequence - oldest)]
    }
}
