/// A set's labeled values, those of one child together: runs of neighbours with the same labels.
struct ChildRuns: Sequence, IteratorProtocol {
    private let samples: [LabeledSample]
    private var index = 0

    init(_ samples: [LabeledSample]) { self.samples = samples }

    /// Never empty.
    mutating func next() -> ArraySlice<LabeledSample>? {
        guard index < samples.count else { return nil }
        let start = index
        index += 1
        while index < samples.count, samples[index].labels == samples[start].labels { index += 1 }
        return samples[start..<index]
    }
}
