/// Counts of durations: tenths of a millisecond up to 2 s, what is longer in the last one.
struct LatencyHistogram: Sendable {
    private static let bucketNanoseconds: UInt64 = 100_000
    private static let bucketCount = 20_001
    private var counts = [UInt32](repeating: 0, count: bucketCount)
    private(set) var count: UInt64 = 0
    /// Nanoseconds.
    private(set) var longest: UInt64 = 0

    mutating func add(nanoseconds: UInt64) {
        let bucket = min(Int(nanoseconds / Self.bucketNanoseconds), Self.bucketCount - 1)
        counts[bucket] += 1
        count += 1
        longest = max(longest, nanoseconds)
    }

    mutating func merge(_ other: Self) {
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The duration in milliseconds that so great a part was not longer than; 0 without any.
    func quantile(_ part: Double) -> Double {
        guard count > 0 else { return 0 }
        let wanted = UInt64((Double(count) * part).rounded(.up))
        var seen: UInt64 = 0
        for index in counts.indices {
            seen += UInt64(counts[index])
            if seen >= wanted {
                return index == Self.bucketCount - 1
                    ? Double(longest) / 1e6
                    : Double(index + 1) * Double(Self.bucketNanoseconds) / 1e6
            }
        }
        return Double(longest) / 1e6
    }
}
