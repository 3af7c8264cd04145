import Wire

/// One node's summary as subjects with values: what an agent on that node would have sent.
struct SummarySubjects {
    /// A subject, where it belongs, and its figures.
    struct Entry {
        /// Tells it from all others of the node, restarts included: the same path with other
        /// attributes or another schema is another subject.
        let path: String
        let parentPath: String?
        /// Without its parent's slot.
        let subject: Subject
        let values: [(metric: MetricID, value: Int64)]

        var schema: Schema { Schema(values.map { SchemaField($0.metric) }) }
    }

    /// Parents before their children.
    private(set) var entries: [Entry] = []
    /// Metrics of applications, which frames do not carry.
    private(set) var skippedMetricCount = 0
    /// When the summary was taken, milliseconds since the epoch.
    let time: Int64
    /// Added to every time.
    private let shift: Int64
    private let containerIDs: ContainerIDs

    /// - Parameters:
    ///   - shift: milliseconds by which the recording is moved.
    ///   - containerIDs: gives containers their IDs, which a summary does not have.
    init(_ summary: KubeletSummary, shift: Int64, containerIDs: ContainerIDs) {
        self.shift = shift
        self.containerIDs = containerIDs
        time =
            Self.milliseconds(summary.node.cpu?.time ?? summary.node.memory?.time) ?? 0
        addNode(summary.node)
        for container in summary.node.systemContainers ?? [] {
            addCgroup(
                container, path: "system/\(container.name)", parent: "node",
                kind: .systemContainer,
                attributes: [.name: Self.systemNames[container.name] ?? container.name])
        }
        for pod in summary.pods { addPod(pod) }
    }

    /// As Heapster calls them.
    private static let systemNames = ["runtime": "docker-daemon", "misc": "system"]

    private static func milliseconds(_ text: String?) -> Int64? {
        text.flatMap { RFC3339.milliseconds(parsing: $0) }
    }

    private mutating func addNode(_ node: KubeletSummary.Node) {
        var values = cgroupValues(node.cpu, node.memory)
        append(&values, .ephemeralStorageUsage, node.fs?.usedBytes)
        add(
            "node", parent: nil, Subject(kind: .node, startTimeMilliseconds: start(node.startTime)),
            values, node.cpu?.time ?? node.memory?.time)
        addInterface(node.network, of: "node")
        addFilesystem(node.fs, path: "node/fs", parent: "node", [.name: "/"])
    }

    private mutating func addPod(_ pod: KubeletSummary.Pod) {
        let path = "pod/\(pod.podRef.uid)"
        var values = cgroupValues(pod.cpu, pod.memory)
        append(&values, .ephemeralStorageUsage, pod.ephemeralStorage?.usedBytes)
        add(
            path, parent: "node",
            Subject(
                kind: .pod, startTimeMilliseconds: start(pod.startTime),
                attributes: [.podUID: pod.podRef.uid]),
            values, pod.cpu?.time ?? pod.network?.time)
        addInterface(pod.network, of: path)
        for volume in pod.volume ?? [] {
            let name = volume.name ?? ""
            addFilesystem(
                volume, path: "\(path)/volume/\(name)", parent: path,
                [.name: name, .role: "volume"])
        }
        // Of a container that is listed twice only the later run still has a cgroup.
        var newest: [String: Int64] = [:]
        for container in pod.containers ?? [] {
            newest[container.name] = max(
                newest[container.name] ?? .min, start(container.startTime))
        }
        for container in pod.containers ?? []
        where start(container.startTime) == newest[container.name] {
            let identifier = containerIDs.identifier(
                podUID: pod.podRef.uid, name: container.name, startTime: container.startTime)
            addCgroup(
                container, path: "\(path)/\(identifier)", parent: path, kind: .container,
                attributes: [
                    .podUID: pod.podRef.uid, .containerID: identifier, .runtime: "containerd",
                ])
        }
    }

    private mutating func addCgroup(
        _ container: KubeletSummary.Container, path: String, parent: String, kind: SubjectKind,
        attributes: [Subject.Attribute: String]
    ) {
        var values = cgroupValues(container.cpu, container.memory)
        if let rootfs = container.rootfs?.usedBytes, let logs = container.logs?.usedBytes {
            append(&values, .ephemeralStorageUsage, rootfs &+ logs)
        }
        add(
            path, parent: parent,
            Subject(
                kind: kind, startTimeMilliseconds: start(container.startTime),
                attributes: attributes), values, container.cpu?.time ?? container.memory?.time)
        addFilesystem(
            container.rootfs, path: "\(path)/rootfs", parent: path, [.name: "/", .role: "rootfs"])
        addFilesystem(
            container.logs, path: "\(path)/logs", parent: path, [.name: "logs", .role: "logs"])
        for accelerator in container.accelerators ?? [] {
            var values: [(metric: MetricID, value: Int64)] = []
            append(&values, .acceleratorMemoryTotal, accelerator.memoryTotal)
            append(&values, .acceleratorMemoryUsed, accelerator.memoryUsed)
            append(&values, .acceleratorDutyCycle, accelerator.dutyCycle)
            let attributes: [Subject.Attribute: String] = [
                .make: accelerator.make, .model: accelerator.model, .identifier: accelerator.id,
            ]
            add(
                "\(path)/accelerator/\(accelerator.id)", parent: path,
                Subject(kind: .accelerator, attributes: attributes), values, container.cpu?.time)
        }
        skippedMetricCount += container.userDefinedMetrics?.count ?? 0
    }

    private mutating func addInterface(_ network: KubeletSummary.Network?, of parent: String) {
        guard let network else { return }
        var values: [(metric: MetricID, value: Int64)] = []
        append(&values, .networkReceiveBytes, network.rxBytes)
        append(&values, .networkReceiveErrors, network.rxErrors)
        append(&values, .networkTransmitBytes, network.txBytes)
        append(&values, .networkTransmitErrors, network.txErrors)
        let name = network.name ?? "eth0"
        add(
            "\(parent)/interface/\(name)", parent: parent,
            Subject(kind: .networkInterface, attributes: [.name: name]), values, network.time)
    }

    private mutating func addFilesystem(
        _ filesystem: KubeletSummary.Filesystem?, path: String, parent: String,
        _ attributes: [Subject.Attribute: String]
    ) {
        guard let filesystem else { return }
        var values: [(metric: MetricID, value: Int64)] = []
        append(&values, .filesystemUsage, filesystem.usedBytes)
        append(&values, .filesystemLimit, filesystem.capacityBytes)
        append(&values, .filesystemAvailable, filesystem.availableBytes)
        append(&values, .filesystemInodes, filesystem.inodes)
        append(&values, .filesystemInodesFree, filesystem.inodesFree)
        add(
            path, parent: parent, Subject(kind: .filesystem, attributes: attributes), values,
            filesystem.time)
    }

    private func cgroupValues(
        _ cpu: KubeletSummary.CPU?, _ memory: KubeletSummary.Memory?
    ) -> [(metric: MetricID, value: Int64)] {
        var values: [(metric: MetricID, value: Int64)] = []
        append(&values, .cpuUsage, cpu?.usageCoreNanoSeconds)
        append(&values, .memoryUsage, memory?.usageBytes)
        append(&values, .memoryWorkingSet, memory?.workingSetBytes)
        append(&values, .memoryRSS, memory?.rssBytes)
        append(&values, .memoryPageFaults, memory?.pageFaults)
        append(&values, .memoryMajorPageFaults, memory?.majorPageFaults)
        return values
    }

    private func append(
        _ values: inout [(metric: MetricID, value: Int64)], _ metric: MetricID, _ value: UInt64?
    ) {
        if let value { values.append((metric, Int64(clamping: value))) }
    }

    /// Adds a subject; its read time goes as the offset from the node's.
    private mutating func add(
        _ path: String, parent: String?, _ subject: Subject,
        _ values: [(metric: MetricID, value: Int64)], _ readTime: String?
    ) {
        let read = Self.milliseconds(readTime) ?? time
        entries.append(
            Entry(
                path: path, parentPath: parent, subject: subject,
                values: [(.readOffset, read - time)] + values))
    }

    private func start(_ text: String?) -> Int64 {
        Self.milliseconds(text).map { $0 &+ shift } ?? 0
    }
}
