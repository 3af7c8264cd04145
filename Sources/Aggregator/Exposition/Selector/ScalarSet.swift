/// Some of Unicode's scalars, as a regular expression's bracket or class has them.
struct ScalarSet: Sendable, Equatable {
    /// In rising order, none touching another.
    private(set) var ranges: [ClosedRange<UInt32>] = []
    var isNegated = false
    /// Whether letters stand for themselves in both cases.
    var ignoresCase = false

    init(_ ranges: [ClosedRange<UInt32>]) { add(ranges) }

    static let everything = ScalarSet([0...0x10_FFFF])
    static let digit = ScalarSet([0x30...0x39])
    /// Tab, line feed, form feed, carriage return, blank.
    static let space = ScalarSet([0x09...0x0A, 0x0C...0x0D, 0x20...0x20])
    static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])

    mutating func add(_ other: ScalarSet) {
        add(other.isNegated ? other.complement : other.ranges)
    }

    mutating func add(_ more: [ClosedRange<UInt32>]) {
        var merged: [ClosedRange<UInt32>] = []
        for range in (ranges + more).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] =
                    last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        ranges = merged
    }

    private var complement: [ClosedRange<UInt32>] {
        var found: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { found.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= 0x10_FFFF { found.append(next...0x10_FFFF) }
        return found
    }

    /// Its only member, if there is one alone.
    var only: Unicode.Scalar? {
        guard ranges.count == 1, ranges[0].count == 1, !isNegated, !ignoresCase else { return nil }
        return Unicode.Scalar(ranges[0].lowerBound)
    }

    func contains(_ scalar: UInt32) -> Bool {
        var isIn = has(scalar)
        if !isIn, ignoresCase, let letter = Unicode.Scalar(scalar)?.properties {
            for mapping in [letter.lowercaseMapping, letter.uppercaseMapping] {
                let scalars = mapping.unicodeScalars
                if scalars.count == 1, let other = scalars.first, has(other.value) { isIn = true }
            }
        }
        return isIn != isNegated
    }

    private func has(_ scalar: UInt32) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if scalar > ranges[middle].upperBound { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(scalar)
    }
}
