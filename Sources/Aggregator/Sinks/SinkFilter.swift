/// Which metrics and labels a sink gets: the options `metrics`, `metrics-deny`, `labels` and
/// `labels-deny`, lists of names in which `*` stands for anything.
///
/// Allowing a label that the sink leaves out by itself brings it in (`labels=*,pod_id`).
struct SinkFilter: Sendable, Equatable {
    var metrics: [NamePattern] = []
    var deniedMetrics: [NamePattern] = []
    var labels: [NamePattern] = []
    var deniedLabels: [NamePattern] = []

    var isEmpty: Bool {
        metrics.isEmpty && deniedMetrics.isEmpty && labels.isEmpty && deniedLabels.isEmpty
    }

    /// Calls `body` with what is left of a set; not at all if no value is left.
    func withFiltered(_ set: borrowing MetricSet, _ body: (borrowing MetricSet) -> Void) {
        var kept = MetricSet()
        kept.kind = set.kind
        kept.scrapeTime = set.scrapeTime
        kept.collectionStartTime = set.collectionStartTime
        kept.entityCreateTime = set.entityCreateTime
        kept.labels = set.labels.filter { $0.key == "type" || admits(label: $0.key) }
        kept.values = set.values.filter { admits(metric: $0.metric.name) }
        kept.labeledValues = set.labeledValues.filter { admits(metric: $0.metric.name) }
        if !kept.values.isEmpty || !kept.labeledValues.isEmpty { body(kept) }
    }

    private func admits(metric name: String) -> Bool {
        (metrics.isEmpty || metrics.contains { $0.matches(name) })
            && !deniedMetrics.contains { $0.matches(name) }
    }

    private func admits(label key: String) -> Bool {
        (labels.isEmpty || labels.contains { $0.matches(key) })
            && !deniedLabels.contains { $0.matches(key) }
    }
}

/// A name with `*` for any number of any characters.
struct NamePattern: Sendable, Equatable {
    private let pattern: [UInt8]

    init(_ text: some StringProtocol) { pattern = Array(text.utf8) }

    /// Backtracks to the last `*` only: O(n·m) at worst.
    func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        var (position, index) = (0, 0)
        var star: (position: Int, index: Int)?
        while index < name.count {
            if position < pattern.count, pattern[position] == UInt8(ascii: "*") {
                star = (position, index)
                position += 1
            } else if position < pattern.count, pattern[position] == name[index] {
                position += 1
                index += 1
            } else if let last = star {
                star = (last.position, last.index + 1)
                position = last.position + 1
                index = last.index + 1
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
