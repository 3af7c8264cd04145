import Wire

/// CPU and memory of something now.
struct ResourceUsage: Sendable, Equatable {
    /// Billionths of a core.
    var cpuNanocores: Int64
    /// The working set.
    var memoryBytes: Int64
    /// When it was read, milliseconds since the epoch.
    var time: Int64
    /// Milliseconds over which the CPU was measured.
    var window: Int64

    /// Use at a glance: several summed, their earliest time and longest window.
    static func sum(_ parts: [ResourceUsage]) -> ResourceUsage? {
        guard var total = parts.first else { return nil }
        for part in parts.dropFirst() { total.add(part) }
        return total
    }

    /// Their sum, the earlier time and the longer window.
    mutating func add(_ other: ResourceUsage) {
        cpuNanocores &+= other.cpuNanocores
        memoryBytes &+= other.memoryBytes
        time = min(time, other.time)
        window = max(window, other.window)
    }
}

extension JoinedSubject {
    /// `nil` while there is no rate, or no working set.
    func usage(in rows: LiveRows) -> ResourceUsage? {
        guard let cpu = rows.cpu(slot), let memory = value(.memoryWorkingSet, in: rows) else {
            return nil
        }
        return ResourceUsage(
            cpuNanocores: cpu.nanocores, memoryBytes: memory, time: cpu.time, window: cpu.window)
    }
}

/// A pod's containers with what they use.
struct PodUsage: Sendable {
    let pod: JoinedPod
    /// Those of which something was read; in the specification's order.
    let containers: [(name: String, usage: ResourceUsage)]
    /// Specified containers of which nothing was read yet.
    let missingCount: Int

    init(_ pod: JoinedPod, in rows: LiveRows) {
        self.pod = pod
        var containers: [(name: String, usage: ResourceUsage)] = []
        containers.reserveCapacity(pod.containers.count)
        for container in pod.containers {
            guard let usage = container.subject?.usage(in: rows) else { continue }
            containers.append((container.name, usage))
        }
        self.containers = containers
        missingCount = pod.containers.count - containers.count
    }

    var total: ResourceUsage? { ResourceUsage.sum(containers.map(\.usage)) }
}
