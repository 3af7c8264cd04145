/// What Heapwire keeps of a pod: names, owner, labels, containers with what they may use.
///
/// Immutable: a change makes a new one, and readers keep what they hold. Texts are shared between pods
/// (see `StringInterner`). Times are milliseconds since the epoch.
final class Pod: Sendable, Equatable {
    let namespace: String
    let name: String
    let uid: ObjectUID
    /// Empty while it is not scheduled.
    let nodeName: String
    let labels: LabelSet
    /// The owner that controls it; `nil` for a pod of its own.
    let controller: OwnerReference?
    /// When the kubelet took it; 0 before.
    let startTimeMilliseconds: Int64
    let phase: Phase
    let qosClass: QOSClass
    let isHostNetwork: Bool
    /// Whether its deletion was asked for.
    let isTerminating: Bool
    /// For the apiserver's copy of a static pod: the UID that the kubelet and its cgroups go by
    /// (annotation `kubernetes.io/config.hash`).
    let configHash: ObjectUID?
    /// Regular containers first, in the specification's order, then initial and ephemeral ones.
    let containers: [Container]

    enum Phase: UInt8, Sendable { case unknown, pending, running, succeeded, failed }
    enum QOSClass: UInt8, Sendable { case unknown, guaranteed, burstable, bestEffort }

    init(_ parts: Parts) {
        namespace = parts.namespace
        name = parts.name
        uid = parts.uid
        nodeName = parts.nodeName
        labels = parts.labels
        controller = parts.controller
        startTimeMilliseconds = parts.startTimeMilliseconds
        phase = parts.phase
        qosClass = parts.qosClass
        isHostNetwork = parts.isHostNetwork
        isTerminating = parts.isTerminating
        configHash = parts.configHash
        containers = parts.containers
    }

    /// A pod while it is read.
    struct Parts {
        var namespace = ""
        var name = ""
        var uid = ObjectUID.text("")
        var nodeName = ""
        var labels = LabelSet.none
        var controller: OwnerReference?
        var startTimeMilliseconds: Int64 = 0
        var phase = Phase.unknown
        var qosClass = QOSClass.unknown
        var isHostNetwork = false
        var isTerminating = false
        var configHash: ObjectUID?
        var containers: [Container] = []
    }

    /// One container of a pod: its specification and, once there is one, its status.
    struct Container: Sendable, Equatable {
        enum Role: UInt8, Sendable { case regular, initial, sidecar, ephemeral }

        var name: String
        /// As the specification says it.
        var image: String
        var resources = ContainerResources.none
        /// Of the run that the status tells of; empty before the first.
        var id = ContainerID.none
        var startedMilliseconds: Int64 = 0
        var restartCount: Int32 = 0
        var role = Role.regular
        var isReady = false
        var isRunning = false
    }

    static func == (a: Pod, b: Pod) -> Bool {
        a === b
            || a.uid == b.uid && a.name == b.name && a.namespace == b.namespace
                && a.nodeName == b.nodeName && a.labels == b.labels && a.controller == b.controller
                && a.startTimeMilliseconds == b.startTimeMilliseconds && a.phase == b.phase
                && a.qosClass == b.qosClass && a.isHostNetwork == b.isHostNetwork
                && a.isTerminating == b.isTerminating && a.configHash == b.configHash
                && a.containers == b.containers
    }
}

/// The owner that controls an object. Immutable and shared between its objects.
final class OwnerReference: Sendable, Hashable {
    /// `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job`, `Node` (of static pods) or any other.
    let kind: String
    let name: String
    let uid: ObjectUID

    init(kind: String, name: String, uid: ObjectUID) {
        self.kind = kind
        self.name = name
        self.uid = uid
    }

    static func == (a: OwnerReference, b: OwnerReference) -> Bool {
        a === b || a.uid == b.uid && a.name == b.name && a.kind == b.kind
    }

    func hash(into hasher: inout Hasher) { hasher.combine(uid) }
}
