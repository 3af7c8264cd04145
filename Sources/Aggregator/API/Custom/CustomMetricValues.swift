import Wire

/// Reads values for `custom.metrics.k8s.io`: the model's of pods, nodes and namespaces, and what
/// applications push.
///
/// A metric's name may be asked for as it is (`network/rx_rate`) or with `_` for each slash, which is
/// how an autoscaler must write it: its client takes no slash. Pushed metrics go by their own names
/// (`queue_length`), with `custom/` or `custom_` before where the model has one of that name.
struct CustomMetricValues: Sendable {
    let index: ClusterIndex
    let custom: CustomMetrics
    let options: BatchOptions
    let clock: Clock

    /// What is asked about.
    struct Question: Sendable {
        /// As it was asked for, and so answered.
        let metric: String
        /// `nil` for a pushed metric alone.
        let modelName: String?
        /// A name without `custom/`.
        let pushedName: String?
        /// Narrows to labels of the metric's series.
        let selector: LabelSelector

        init(_ metric: String, _ selector: LabelSelector) {
            self.metric = metric
            self.selector = selector
            let isPushed = metric.hasPrefix("custom/") || metric.hasPrefix("custom_")
            modelName = isPushed ? nil : MetricSpelling.modelName(metric)
            pushedName =
                isPushed ? String(metric.dropFirst(7)) : modelName == nil ? metric : nil
        }
    }

    private var now: Int64 { Int64(clock.realtimeNanoseconds / 1_000_000) }
    private var oldest: Int64 { now &- CustomMetrics.currentMilliseconds }

    // MARK: Pods

    /// Pods of a namespace that have the metric, by name.
    func pods(
        _ question: Question, in namespace: String, where isWanted: (String, LabelSet?) -> Bool
    ) -> [MetricItem] {
        var found = modelPods(question, namespace, isWanted)
        if let name = question.pushedName {
            for pod in custom.podNames(in: namespace, having: name) {
                let owner = CustomOwner(namespace: namespace, pod: pod)
                guard isWanted(pod, labels(of: owner)),
                    let item = pushed(name, question, "Pod", owner)
                else { continue }
                found.append(item)
            }
        }
        return found.sorted { $0.name < $1.name }
    }

    /// A pod that pushes need not be on a node that is watched.
    private func labels(of owner: CustomOwner) -> LabelSet? {
        index.directory.pods(namespace: owner.namespace, name: owner.pod).first?.labels
    }

    private func modelPods(
        _ question: Question, _ namespace: String, _ isWanted: (String, LabelSet?) -> Bool
    ) -> [MetricItem] {
        guard let name = question.modelName ?? question.pushedName, let batch else { return [] }
        var sets = NodeSets(batch: batch)
        var found: [MetricItem] = []
        for node in index.nodes() where node.pods.contains(where: { $0.namespace == namespace }) {
            sets.build(podsOf: node) { pod in
                pod.namespace == namespace && isWanted(pod.name, pod.metadata?.labels)
            }
            for set in sets.sets.prefix(sets.count) where set.kind == .pod {
                guard let pod = set.label("pod_name"),
                    let item = item(
                        of: set, name, question, "Pod", namespace: namespace, name: pod)
                else { continue }
                found.append(item)
            }
        }
        return found
    }

    // MARK: Nodes and namespaces

    func nodes(
        _ question: Question, where isWanted: (String, LabelSet?) -> Bool
    ) -> [MetricItem] {
        guard let name = question.modelName, let batch else { return [] }
        var sets = NodeSets(batch: batch)
        return index.nodes().compactMap { node in
            guard isWanted(node.name, node.metadata?.labels) else { return nil }
            sets.build(nodeAlone: node)
            guard sets.count == 1 else { return nil }
            return item(of: sets.sets[0], name, question, "Node", namespace: "", name: node.name)
        }
    }

    func namespaces(_ question: Question, where isWanted: (String) -> Bool) -> [MetricItem] {
        var names = Set(index.namespaces())
        if let name = question.pushedName { names.formUnion(custom.namespaces(having: name)) }
        return names.filter(isWanted).sorted().compactMap { namespace in
            if let name = question.pushedName {
                return pushed(
                    name, question, "Namespace", CustomOwner(namespace: namespace, pod: ""))
            }
            guard let metric = question.modelName.flatMap({ Catalog.metric(named: $0) }),
                question.selector.matches({ _ in nil }),
                let last = index.cluster.rollUps.points(metric.id, namespace: namespace).last,
                last.cycle >= index.horizon, let value = Quantity(last.value)
            else { return nil }
            return MetricItem(
                kind: "Namespace", namespace: "", name: namespace, metric: question.metric,
                value: value, time: last.cycle, windowSeconds: window(metric.name))
        }
    }

    // MARK: Values

    private var batch: ModelBatch? {
        ModelBatch.newest(index: index, options: options, withoutSums: true)
    }

    /// Rates are over a cycle.
    private func window(_ name: String) -> Int64? {
        Catalog.metric(named: name)?.origin == .rate
            ? max(1, index.cluster.configuration.resolution / 1_000) : nil
    }

    /// The set's own value, else the sum of its parts' (filesystems, devices) that are wanted.
    private func item(
        of set: borrowing MetricSet, _ name: String, _ question: Question, _ kind: StaticString,
        namespace: String, name object: String
    ) -> MetricItem? {
        var value: Double?
        if question.selector.matches({ _ in nil }) {
            value = set.values.first { MetricSpelling.isSame($0.metric.name, name) }?.value.double
        }
        if value == nil {
            for part in set.labeledValues where MetricSpelling.isSame(part.metric.name, name) {
                let isWanted = question.selector.matches { key in
                    part.labels.first { $0.key == key }?.value
                }
                if isWanted { value = (value ?? 0) + part.value.double }
            }
        }
        guard let quantity = value.flatMap({ Quantity($0) }) else { return nil }
        return MetricItem(
            kind: kind, namespace: namespace, name: object, metric: question.metric,
            value: quantity, time: set.scrapeTime > 0 ? set.scrapeTime : batch?.timestamp ?? now,
            windowSeconds: window(name))
    }

    private func pushed(
        _ name: String, _ question: Question, _ kind: StaticString, _ owner: CustomOwner
    ) -> MetricItem? {
        let current = custom.current(name, of: owner, oldest: oldest) { labels in
            question.selector.matches { labels[$0] }
        }
        guard let current, let value = Quantity(current.value) else { return nil }
        let isPod = !owner.pod.isEmpty
        return MetricItem(
            kind: kind, namespace: isPod ? owner.namespace : "",
            name: isPod ? owner.pod : owner.namespace, metric: question.metric, value: value,
            time: current.cycle, windowSeconds: nil)
    }
}

/// Names with and without slashes.
enum MetricSpelling {
    static func withoutSlashes(_ name: String) -> String {
        name.contains("/") ? String(name.map { $0 == "/" ? "_" : $0 }) : name
    }

    /// Whether a text, as it is or without slashes, is that name.
    static func isSame(_ name: String, _ text: String) -> Bool {
        name == text || (name.utf8.count == text.utf8.count && withoutSlashes(name) == text)
    }

    /// The catalogue's name that a text stands for.
    static func modelName(_ text: String) -> String? {
        if Catalog.metric(named: text) != nil { return text }
        return catalogue[text]
    }

    private static let catalogue: [String: String] = Dictionary(
        Catalog.metrics.map { (withoutSlashes($0.name), $0.name) },
        uniquingKeysWith: { first, _ in first })
}
