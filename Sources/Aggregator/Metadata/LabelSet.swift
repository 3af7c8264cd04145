/// An object's labels, sorted by key. Immutable, so that the pods of a workload can share one.
final class LabelSet: Sendable, Hashable {
    /// A key and its value.
    struct Label: Hashable, Sendable {
        let key: String
        let value: String
    }

    let labels: [Label]

    static let none = LabelSet([])

    /// In any order; of a repeated key the last counts.
    init(_ labels: [Label]) {
        if labels.count < 2 {
            self.labels = labels
            return
        }
        // Bytes, not Unicode's order: as Go sorts. `sort` is stable.
        var sorted = labels
        sorted.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        var unique: [Label] = []
        unique.reserveCapacity(sorted.count)
        for label in sorted {
            if unique.last?.key == label.key { unique.removeLast() }
            unique.append(label)
        }
        self.labels = unique
    }

    convenience init(_ labels: [String: String]) {
        self.init(labels.map { Label(key: $0.key, value: $0.value) })
    }

    subscript(key: String) -> String? { labels.first { $0.key == key }?.value }

    /// Heapster's `labels`: `key:value` in the order of keys, joined, some keys left out.
    func joined(separator: String, ignoring ignored: Set<String> = []) -> String {
        var text = ""
        for label in labels where ignored.isEmpty || !ignored.contains(label.key) {
            if !text.isEmpty { text += separator }
            text += label.key
            text += ":"
            text += label.value
        }
        return text
    }

    static func == (a: LabelSet, b: LabelSet) -> Bool { a === b || a.labels == b.labels }
    func hash(into hasher: inout Hasher) { hasher.combine(labels) }
}
