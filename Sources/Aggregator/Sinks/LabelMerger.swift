/// Brings a set's labels, a child's labels and the cluster's name together, in the order of keys.
struct LabelMerger: Sendable {
    /// Labels that the sink leaves out: so few that comparing is quicker than a table.
    let excluded: [String]
    /// The cluster's name under the key that the sink has for it; `nil` leaves it out.
    let cluster: Label?
    /// Whether labels without a value are left out.
    let dropsEmpty: Bool

    private(set) var labels: [Label] = []

    init(excluding excluded: Set<String> = [], cluster: Label? = nil, dropsEmpty: Bool = true) {
        self.excluded = excluded.sorted()
        self.cluster = cluster
        self.dropsEmpty = dropsEmpty
    }

    /// Fills `labels`. Inputs are in the order of their keys; where keys meet, the child's counts.
    mutating func merge(_ own: [Label], _ child: [Label] = []) {
        labels.removeAll(keepingCapacity: true)
        var clusterIsDue = cluster != nil
        var childIndex = 0
        for label in own {
            while childIndex < child.count, child[childIndex].key < label.key {
                append(child[childIndex], &clusterIsDue)
                childIndex += 1
            }
            if childIndex < child.count, child[childIndex].key == label.key { continue }
            append(label, &clusterIsDue)
        }
        while childIndex < child.count {
            append(child[childIndex], &clusterIsDue)
            childIndex += 1
        }
        if clusterIsDue, let cluster { labels.append(cluster) }
    }

    private mutating func append(_ label: Label, _ clusterIsDue: inout Bool) {
        if clusterIsDue, let cluster {
            if label.key == cluster.key { return }
            if label.key > cluster.key {
                labels.append(cluster)
                clusterIsDue = false
            }
        }
        if dropsEmpty && label.value.isEmpty || excluded.contains(label.key) { return }
        labels.append(label)
    }
}

extension JSONWriter {
    /// Labels as members of an object.
    mutating func object(of labels: [Label]) {
        beginObject()
        for label in labels {
            key(label.key)
            string(label.value)
        }
        endObject()
    }
}
