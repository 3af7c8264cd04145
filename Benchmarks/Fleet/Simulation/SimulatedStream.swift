import Wire

/// The frames of one made-up node, which several simulated nodes send as theirs.
///
/// They differ in their names only: no two nodes share a pod UID or a container ID. Belongs to one
/// loop's thread.
final class SimulatedStream {
    /// What a pod list says of a pod.
    struct Pod {
        let serial: Int
        let startMilliseconds: Int64
        fileprivate let slot: Slot
        fileprivate let interfaceSlot: Slot
        fileprivate(set) var containers: [Container]
        /// What containers that are gone had counted: a pod's own counters go on without them.
        fileprivate var retired = Counted()
    }

    /// Counters that a pod has in sum.
    fileprivate struct Counted {
        var cpu: Int64 = 0
        var pageFaults: Int64 = 0
        var majorPageFaults: Int64 = 0
        var receivedBytes: Int64 = 0
        var receivedPackets: Int64 = 0
        var sentBytes: Int64 = 0
        var sentPackets: Int64 = 0

        mutating func add(_ activity: ContainerActivity) {
            cpu += activity.cpu
            pageFaults += activity.pageFaults
            majorPageFaults += activity.majorPageFaults
            receivedBytes += activity.receivedBytes
            receivedPackets += activity.receivedPackets
            sentBytes += activity.sentBytes
            sentPackets += activity.sentPackets
        }
    }

    struct Container {
        let serial: Int
        let startMilliseconds: Int64
        fileprivate let slot: Slot
        fileprivate let blockDeviceSlot: Slot
        fileprivate var activity: ContainerActivity
    }

    private struct Part {
        let slot: Slot
        var activity: MachineActivity
    }

    let log: FrameLog
    private(set) var pods: [Pod] = []
    private(set) var stepsSkipped: UInt64 = 0
    private let recorder: FrameRecorder
    private let options: SimulationOptions
    private var random: SplitMix
    private var parts: [Part] = []
    private var systemContainers: [Container] = []
    private var nodeSlot: Slot = 0
    private var podSerials = 0
    private var containerSerials = 0
    private var churnDebt = 0.0

    /// - Parameter now: milliseconds since the epoch; pods are as old as an hour then.
    /// - Throws: `limitExceeded` when there are more pods than a node may have.
    init(number: Int, options: SimulationOptions, now: Int64) throws(WireError) {
        self.options = options
        random = SplitMix(seed: options.seed &+ UInt64(number) &* 0x1_0001)
        log = FrameLog(capacity: options.keptFrames)
        recorder = FrameRecorder(log: log)
        try addMachine(now: now)
        for _ in 0..<options.pods {
            try addPod(start: now - random.around(3_600_000))
        }
    }

    private func addMachine(now: Int64) throws(WireError) {
        let boot = now - 40 * 86_400_000
        nodeSlot = try addPart(
            Subject(kind: .node, startTimeMilliseconds: boot), MachineActivity.node)
        for name in ["eth0", "cni0"] {
            try addPart(
                Subject(kind: .networkInterface, parent: nodeSlot, attributes: [.name: name]),
                MachineActivity.interface)
        }
        for name in ["nvme0n1", "nvme1n1"] {
            try addPart(
                Subject(kind: .blockDevice, parent: nodeSlot, attributes: [.name: name]),
                MachineActivity.blockDevice)
        }
        for name in ["/", "/var/lib/containerd"] {
            try addPart(
                Subject(kind: .filesystem, parent: nodeSlot, attributes: [.name: name]),
                MachineActivity.filesystem)
        }
        try addPart(Subject(kind: .agent, parent: nodeSlot), MachineActivity.agent)
        let units = ["kubepods", "system.slice/kubelet.service", "system.slice/containerd.service"]
        for name in units {
            let subject = Subject(
                kind: .systemContainer, parent: nodeSlot, startTimeMilliseconds: boot,
                attributes: [.name: name])
            systemContainers.append(try addContainer(subject, device: "259:0", .managed))
        }
    }

    @discardableResult
    private func addPart(
        _ subject: Subject, _ figures: [MachineActivity.Figure]
    ) throws(WireError) -> Slot {
        let slot = recorder.takeSlot()
        try recorder.add(slot, subject, MachineActivity.schema(figures))
        parts.append(Part(slot: slot, activity: MachineActivity(figures)))
        return slot
    }

    /// A cgroup with its block device.
    private func addContainer(
        _ subject: Subject, device: String, _ kind: ContainerActivity.Kind
    ) throws(WireError) -> Container {
        let slot = recorder.takeSlot()
        try recorder.add(slot, subject, ContainerActivity.schema)
        let deviceSlot = recorder.takeSlot()
        try recorder.add(
            deviceSlot,
            Subject(
                kind: .blockDevice, parent: slot,
                attributes: [.name: "nvme0n1", .deviceNumber: device]),
            ContainerActivity.blockDeviceSchema)
        defer { containerSerials += 1 }
        return Container(
            serial: containerSerials, startMilliseconds: subject.startTimeMilliseconds, slot: slot,
            blockDeviceSlot: deviceSlot, activity: ContainerActivity(kind, random: &random))
    }

    private static let podSchema = Schema([
        .init(.readOffset), .init(.cpuUsage), .init(.memoryUsage, granularity: 4_096),
        .init(.memoryWorkingSet, granularity: 4_096), .init(.memoryRSS, granularity: 4_096),
        .init(.memoryCache, granularity: 4_096), .init(.memoryPageFaults),
        .init(.memoryMajorPageFaults), .init(.processThreads), .init(.ephemeralStorageUsage),
    ])
    private static let interfaceSchema = Schema(
        MachineActivity.interface.map { SchemaField($0.metric) })

    private func addPod(start: Int64) throws(WireError) {
        let serial = podSerials
        podSerials += 1
        let slot = recorder.takeSlot()
        try recorder.add(
            slot,
            Subject(
                kind: .pod, parent: nodeSlot, startTimeMilliseconds: start,
                attributes: [.podUID: "p\(serial)", .qosClass: "burstable"]), Self.podSchema)
        let interfaceSlot = recorder.takeSlot()
        try recorder.add(
            interfaceSlot,
            Subject(kind: .networkInterface, parent: slot, attributes: [.name: "eth0"]),
            Self.interfaceSchema)
        var pod = Pod(
            serial: serial, startMilliseconds: start, slot: slot, interfaceSlot: interfaceSlot,
            containers: [])
        let count =
            options.containers / options.pods
            + (serial % options.pods < options.containers % options.pods ? 1 : 0)
        for _ in 0..<count { pod.containers.append(try addContainer(of: pod, start: start)) }
        pods.append(pod)
    }

    private func addContainer(of pod: Pod, start: Int64) throws(WireError) -> Container {
        let subject = Subject(
            kind: .container, parent: pod.slot, startTimeMilliseconds: start + 800,
            attributes: [
                .podUID: "p\(pod.serial)", .containerID: "c\(containerSerials)",
                .runtime: "containerd",
            ])
        let kind = ContainerActivity.kinds[
            Int(random.next() % UInt64(ContainerActivity.kinds.count))]
        return try addContainer(subject, device: "259:0", kind)
    }

    private func remove(_ container: Container) throws(WireError) {
        try recorder.remove(container.blockDeviceSlot)
        try recorder.remove(container.slot)
    }

    // MARK: Steps

    /// Lets a step pass and records its frame.
    func record(step: Int64, readDelay: Int64, taken: UInt64) throws(WireError) {
        let seconds = Double(options.resolution) / 1_000
        try churn(seconds, now: step)
        for index in parts.indices {
            parts[index].activity.pass(seconds: seconds, &random)
            parts[index].activity.write(to: recorder.row(of: parts[index].slot))
        }
        for index in systemContainers.indices {
            pass(&systemContainers[index], seconds)
        }
        for index in pods.indices {
            for inner in pods[index].containers.indices {
                pass(&pods[index].containers[inner], seconds)
            }
            writePod(pods[index])
        }
        recorder.record(stepMilliseconds: step, readDelay: readDelay, takenNanoseconds: taken)
    }

    func skip(_ count: UInt64) { stepsSkipped += count }

    private func pass(_ container: inout Container, _ seconds: Double) {
        container.activity.pass(seconds: seconds, &random)
        container.activity.write(to: recorder.row(of: container.slot), readOffset: 0)
        container.activity.writeBlockDevice(to: recorder.row(of: container.blockDeviceSlot))
    }

    /// A pod's own figures are the sums over its containers, with a little for its sandbox.
    private func writePod(_ pod: Pod) {
        var counted = pod.retired
        var (usage, workingSet, rss, cache, threads): (Int64, Int64, Int64, Int64, Int64) =
            (175, 170, 160, 10, 1)
        for container in pod.containers {
            let activity = container.activity
            counted.add(activity)
            usage += activity.usage
            workingSet += activity.workingSet
            rss += activity.rss
            cache += activity.cache
            threads += activity.threads
        }
        let row = recorder.row(of: pod.slot)
        row[1] = 50_000_000 + counted.cpu
        row[2] = usage * 4_096
        row[3] = workingSet * 4_096
        row[4] = rss * 4_096
        row[5] = cache * 4_096
        row[6] = counted.pageFaults
        row[7] = counted.majorPageFaults
        row[8] = threads
        row[9] = 40_960
        let interface = recorder.row(of: pod.interfaceSlot)
        interface[0] = counted.receivedBytes
        interface[1] = counted.receivedPackets
        interface[4] = counted.sentBytes
        interface[5] = counted.sentPackets
    }

    /// Replaces pods and, a quarter of the time, only restarts a container in its pod.
    private func churn(_ seconds: Double, now: Int64) throws(WireError) {
        churnDebt += options.churnPerMinute / 100 * Double(pods.count) * seconds / 60
        while churnDebt > 0, random.happens(min(1, churnDebt)) {
            churnDebt -= 1
            let index = Int(random.next() % UInt64(pods.count))
            if random.happens(0.25), let old = pods[index].containers.last {
                try remove(old)
                pods[index].retired.add(old.activity)
                pods[index].containers.removeLast()
                pods[index].containers.append(
                    try addContainer(of: pods[index], start: now - options.resolution / 2))
            } else {
                let old = pods.remove(at: index)
                for container in old.containers { try remove(container) }
                try recorder.remove(old.interfaceSlot)
                try recorder.remove(old.slot)
                try addPod(start: now - options.resolution / 2)
            }
        }
    }
}
