/// Heapster's labels of one node's sets, each list in the order of its keys.
struct BatchLabels {
    /// Before and behind the labels of the object, in the order of keys.
    private let front: [Label]
    private let nodename: Label
    private let options: BatchOptions
    /// Of the node itself.
    let node: [Label]

    init(_ node: JoinedNode, options: BatchOptions) {
        self.options = options
        let hostID = node.metadata?.hostID(annotation: options.hostIDAnnotation) ?? ""
        let cluster = options.clusterName.map { [Label(key: Label.clusterName, value: $0)] } ?? []
        front =
            cluster + [
                Label(key: "host_id", value: hostID), Label(key: "hostname", value: node.hostname),
            ]
        nodename = Label(key: "nodename", value: node.name)
        var own = front
        if let metadata = node.metadata { own.append(Self.joined(metadata.labels, options)) }
        own.append(nodename)
        own.append(Label(key: "type", value: EntityKind.node.rawValue))
        if let metadata = node.metadata { Self.addStored(metadata.labels, options, to: &own) }
        self.node = Self.sorted(own)
    }

    func systemContainer(_ name: String) -> [Label] {
        Self.sorted(
            [Label(key: "container_name", value: name)] + front + [
                nodename, Label(key: "type", value: EntityKind.systemContainer.rawValue),
            ])
    }

    /// - Parameter namespaceUID: left out where it is not known.
    func pod(_ pod: JoinedPod, namespaceUID: String?) -> [Label] {
        var labels: [Label] = []
        labels.reserveCapacity(front.count + 7 + options.storedLabels.count)
        labels += front
        if let metadata = pod.metadata { labels.append(Self.joined(metadata.labels, options)) }
        if let namespaceUID { labels.append(Label(key: "namespace_id", value: namespaceUID)) }
        labels.append(Label(key: "namespace_name", value: pod.namespace))
        labels.append(nodename)
        labels.append(Label(key: "pod_id", value: pod.metadata?.uid.description ?? pod.uid))
        labels.append(Label(key: "pod_name", value: pod.name))
        labels.append(Label(key: "type", value: EntityKind.pod.rawValue))
        if let metadata = pod.metadata { Self.addStored(metadata.labels, options, to: &labels) }
        return Self.sorted(labels)
    }

    /// - Parameter pod: the labels of its pod.
    func container(_ container: JoinedContainer, of pod: [Label]) -> [Label] {
        var labels: [Label] = []
        labels.reserveCapacity(pod.count + 2)
        if let image = container.specification?.image {
            labels.append(Label(key: "container_base_image", value: image))
        }
        labels.append(Label(key: "container_name", value: container.name))
        for label in pod {
            labels.append(
                label.key == "type"
                    ? Label(key: "type", value: EntityKind.container.rawValue) : label)
        }
        return Self.sorted(labels)
    }

    /// All labels of an object in one.
    private static func joined(_ labels: LabelSet, _ options: BatchOptions) -> Label {
        let joined = labels.joined(
            separator: options.labelSeparator, ignoring: options.ignoredLabels)
        return Label(key: "labels", value: joined)
    }

    /// Those that are wanted by themselves.
    private static func addStored(
        _ labels: LabelSet, _ options: BatchOptions, to found: inout [Label]
    ) {
        for (key, name) in options.storedLabels {
            if let value = labels[key] { found.append(Label(key: name, value: value)) }
        }
    }

    /// A stored label may not take the place of one of Heapster's own.
    private static func sorted(_ labels: [Label]) -> [Label] {
        // As they are written down here, they mostly are in order, each once.
        if zip(labels, labels.dropFirst()).allSatisfy({ $0.key < $1.key }) { return labels }
        var seen = Set<String>()
        return labels.filter { seen.insert($0.key).inserted }.sorted { $0.key < $1.key }
    }
}
