import Wire

/// A live subject of a node with what belongs to it: interfaces, filesystems, devices.
struct JoinedSubject: Sendable {
    let slot: Slot
    let subject: SubjectIdentity
    let columns: MetricColumns
    var children: [JoinedSubject] = []

    /// A value of the newest frame; `nil` where the subject has no such metric.
    func value(_ metric: MetricID, in rows: LiveRows) -> Int64? {
        guard let column = columns.column(of: metric), let row = rows.row(slot) else { return nil }
        return row[column]
    }

    /// A rate of the newest cycle.
    func rate(_ metric: MetricID, in rows: LiveRows) -> Double? {
        columns.rateIndex(of: metric).flatMap { rows.rate(slot, $0) }
    }

    /// When it was read, milliseconds since the epoch.
    func readTime(in rows: LiveRows) -> Int64 {
        guard let column = columns.readOffsetColumn, let row = rows.row(slot) else {
            return rows.readTime
        }
        return rows.readTime &+ row[column]
    }

    /// The labels that tell it from its siblings, in the order of their keys.
    var childLabels: [Label] {
        subject.childLabels.map { Label(key: $0.key, value: $0.value) }
            .sorted { $0.key < $1.key }
    }
}

/// A container of a pod: it runs, or is only specified, or both.
struct JoinedContainer: Sendable {
    let name: String
    /// `nil` while nothing was read of it.
    let subject: JoinedSubject?
    /// `nil` while nobody knows it.
    let specification: Pod.Container?
}

/// A pod with a cgroup on a node now.
final class JoinedPod: Sendable {
    let namespace: String
    let name: String
    /// As its cgroup has it.
    let uid: String
    let nodeName: String
    /// What the apiserver says of it; `nil` while it says nothing.
    let metadata: Pod?
    let subject: JoinedSubject?
    /// Regular containers, and those that run, by the specification's order.
    let containers: [JoinedContainer]
    /// The pause container that holds the pod's namespaces, where it has a cgroup.
    let sandbox: JoinedSubject?

    init(
        namespace: String, name: String, uid: String, nodeName: String, metadata: Pod?,
        subject: JoinedSubject?, containers: [JoinedContainer], sandbox: JoinedSubject?
    ) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.nodeName = nodeName
        self.metadata = metadata
        self.subject = subject
        self.containers = containers
        self.sandbox = sandbox
    }
}

extension JoinedPod {
    /// The pod's own value, else the sum of its containers'.
    func figure(_ metric: MetricID, in rows: LiveRows) -> Int64? {
        if let own = subject?.value(metric, in: rows) { return own }
        var sum: Int64?
        for container in containers {
            guard let value = container.subject?.value(metric, in: rows) else { continue }
            sum = (sum ?? 0) &+ value
        }
        return sum
    }

    /// The pod's own rate, else the sum of its containers'.
    func figure(rate metric: MetricID, in rows: LiveRows) -> Double? {
        if let own = subject?.rate(metric, in: rows) { return own }
        var sum: Double?
        for container in containers {
            guard let value = container.subject?.rate(metric, in: rows) else { continue }
            sum = (sum ?? 0) + value
        }
        return sum
    }
}
