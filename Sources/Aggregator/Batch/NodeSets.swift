import Wire

/// The metric sets of one node, built into memory that is used again for the next.
struct NodeSets {
    private let index: ClusterIndex
    private let custom: CustomMetrics?
    private let options: BatchOptions
    private(set) var sets: [MetricSet] = []
    /// Sets of the node; those behind are left from a larger one.
    private(set) var count = 0
    private var podSums = PodSums()
    /// Custom metrics no older than this count as current.
    private let oldestCustom: Int64
    private var workloads: WorkloadResolver

    /// - Parameter timestamp: the cycle, milliseconds since the epoch.
    init(
        index: ClusterIndex, custom: CustomMetrics?, options: BatchOptions, timestamp: Int64
    ) {
        self.index = index
        self.custom = custom
        self.options = options
        oldestCustom = timestamp &- 5 * 60_000
        workloads = WorkloadResolver(index.directory)
    }

    init(batch: ModelBatch) {
        self.init(
            index: batch.index, custom: batch.custom, options: batch.options,
            timestamp: batch.timestamp)
    }

    /// Reads a node's newest values: none when it cannot be read.
    mutating func build(_ node: JoinedNode) {
        read(node) { $0.add($1, $2) }
    }

    /// Reads those of some of its pods: each pod's set, then its containers'.
    mutating func build(podsOf node: JoinedNode, where isWanted: (JoinedPod) -> Bool) {
        read(node) { sets, node, rows in
            let labels = BatchLabels(node, options: sets.options)
            for pod in node.pods where isWanted(pod) { sets.add(pod, labels, rows) }
        }
    }

    /// Reads the node's own set alone.
    mutating func build(nodeAlone node: JoinedNode) {
        read(node) { sets, node, rows in
            let place = sets.next(.node)
            sets.addFigures(to: place, node, node.reportedTotals, rows)
        }
    }

    private mutating func read(
        _ node: JoinedNode, _ body: (inout NodeSets, JoinedNode, LiveRows) -> Void
    ) {
        let index = index
        count = 0
        // Under the node's lock.
        let isRead = index.read(node) { node, rows in
            count = 0
            body(&self, node, rows)
            return true
        }
        if isRead == nil { count = 0 }
    }

    /// Makes the sets of a copy of a node's values.
    ///
    /// - Parameter node: joined with the subjects that the copy has.
    mutating func build(_ node: JoinedNode, _ rows: CycleRows) {
        precondition(node.generation == rows.generation, "the node is joined for another layout")
        count = 0
        add(node, LiveRows(rows))
    }

    /// Sets with the memory that they are in.
    struct Sets: Sendable {
        fileprivate(set) var sets: [MetricSet] = []
        /// Those behind are left from a larger node.
        fileprivate(set) var count = 0

        /// Shows each set where it lies: copies of them would count references for nothing.
        func forEachSet<Failure: Error>(
            _ body: (borrowing MetricSet) throws(Failure) -> Void
        ) throws(Failure) {
            try sets.withUnsafeBufferPointer { (all) throws(Failure) in
                for index in 0..<count { try body(all[index]) }
            }
        }
    }

    /// Gives away the sets that were built, and takes memory for others.
    mutating func exchange(_ other: inout Sets) {
        swap(&sets, &other.sets)
        swap(&count, &other.count)
    }

    private mutating func next(_ kind: EntityKind) -> Int {
        if count == sets.count { sets.append(MetricSet()) }
        sets[count].removeAll()
        sets[count].kind = kind
        count += 1
        return count - 1
    }

    private mutating func add(_ node: JoinedNode, _ rows: LiveRows) {
        let labels = BatchLabels(node, options: options)
        let nodePlace = next(.node)
        var totals = ResourceTotals()
        for pod in node.pods {
            add(pod, labels, rows)
            if let metadata = pod.metadata { totals.add(ResourceTotals(metadata)) }
        }
        for container in node.systemContainers {
            let place = next(.systemContainer)
            sets[place].labels = labels.systemContainer(container.subject.name)
            sets[place].add(container, rows)
        }
        sets[nodePlace].labels = labels.node
        addFigures(to: nodePlace, node, totals, rows)
    }

    private mutating func addFigures(
        to place: Int, _ node: JoinedNode, _ totals: ResourceTotals, _ rows: LiveRows
    ) {
        if let own = node.node { sets[place].add(own, rows) }
        guard let metadata = node.metadata else { return sets[place].sort() }
        sets[place].addNodeFigures(NodeFigures(metadata, totals).values)
        sets[place].sort()
    }

    private mutating func add(_ pod: JoinedPod, _ labels: BatchLabels, _ rows: LiveRows) {
        let uid = index.directory.namespace(pod.namespace)?.uid.description
        let podLabels = labels.pod(pod, namespaceUID: uid)
        let podPlace = next(.pod)
        sets[podPlace].labels = podLabels
        if let metadata = pod.metadata {
            sets[podPlace].workload = workloads.workload(of: metadata)
        }
        if let own = pod.subject { sets[podPlace].add(own, rows) }
        sets[podPlace].entityCreateTime = pod.metadata?.startTimeMilliseconds ?? 0
        addCustom(to: podPlace, pod, "")
        let first = count
        for container in pod.containers {
            let place = next(.container)
            sets[place].labels = labels.container(container, of: podLabels)
            sets[place].entityCreateTime = pod.metadata?.startTimeMilliseconds ?? 0
            if let subject = container.subject { sets[place].add(subject, rows) }
            if let specification = container.specification {
                sets[place].addFigures(of: specification)
            }
            addCustom(to: place, pod, container.name)
            sets[place].sort()
        }
        var values: [MetricSample] = []
        swap(&values, &sets[podPlace].values)
        podSums.add(sets[first..<count], to: &values)
        swap(&values, &sets[podPlace].values)
        sets[podPlace].addEmptyDirectories(of: pod, rows)
        sets[podPlace].sort()
    }

    private mutating func addCustom(to place: Int, _ pod: JoinedPod, _ container: String) {
        guard let custom else { return }
        let owner = CustomOwner(namespace: pod.namespace, pod: pod.name, container: container)
        for (name, value) in custom.latest(of: owner, oldest: oldestCustom) {
            sets[place].values.append(MetricSample(.named(name, .gauge), .float(value)))
        }
    }
}

/// Heapster's aggregation of containers to their pod: what the pod has itself is left alone, all else
/// is summed, but for counters.
private struct PodSums {
    /// Of the pod's own values and of the sums.
    private var places = MetricPlaces()
    private var named: [String: Int] = [:]

    mutating func add(_ containers: ArraySlice<MetricSet>, to values: inout [MetricSample]) {
        places.removeAll()
        named.removeAll(keepingCapacity: true)
        let ownCount = values.count
        for (place, sample) in values.enumerated() { set(sample.metric, place) }
        for container in containers.indices {
            for position in containers[container].values.indices {
                let sample = containers[container].values[position]
                guard sample.metric.kind == .gauge else { continue }
                guard let place = place(of: sample.metric) else {
                    set(sample.metric, values.count)
                    values.append(sample)
                    continue
                }
                if place < ownCount { continue }
                switch (values[place].value, sample.value) {
                case (.integer(let sum), .integer(let value)):
                    values[place].value = .integer(sum &+ value)
                case (let sum, let value):
                    values[place].value = .float(sum.double + value.double)
                }
            }
        }
    }

    private func place(of metric: MetricKey) -> Int? {
        switch metric {
        case .catalogue(let id): places[id]
        case .named(let name, _): named[name]
        }
    }

    private mutating func set(_ metric: MetricKey, _ place: Int) {
        switch metric {
        case .catalogue(let id): if places[id] == nil { places[id] = place }
        case .named(let name, _): if named[name] == nil { named[name] = place }
        }
    }
}
