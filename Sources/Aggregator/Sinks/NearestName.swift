/// What somebody may have meant who wrote a name that there is not.
enum NearestName {
    /// The name that differs least, at most by two letters and by less than half of what was written;
    /// letters' case does not count. `nil` where none is near.
    static func of(_ written: String, among names: [String]) -> String? {
        let wanted = Array(written.lowercased().utf8)
        guard wanted.count <= 64 else { return nil }
        let limit = min(2, (wanted.count - 1) / 2)
        let near = names.map { (distance: distance(wanted, Array($0.lowercased().utf8)), name: $0) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        guard let near, near.distance <= limit else { return nil }
        return near.name
    }

    /// How many bytes must be put in, left out, replaced or exchanged with their neighbour (optimal
    /// string alignment).
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var before = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    best = min(best, before[j - 1] + 1)
                }
                row.append(best)
            }
            (before, last) = (last, row)
        }
        return last[b.count]
    }
}
