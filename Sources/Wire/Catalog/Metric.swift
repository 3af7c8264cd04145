/// One entry of the metric catalogue: what a number on the wire means.
///
/// Values on the wire are always `Int64` in the metric's `unit`. Derived metrics (rates, ratios,
/// figures from the API server) are in the same table, so that every list of metrics in the
/// project comes from it, but agents never send them.
public struct Metric: Sendable, Equatable {
    /// Never reused, never renumbered: an old log must keep its meaning.
    public let id: MetricID
    /// Heapster's name where Heapster had the metric, the same style elsewhere: `cpu/usage`.
    public let name: String
    public let unit: Unit
    public let kind: Kind
    /// Which subjects can carry it.
    public let subjects: SubjectKinds
    public let origin: Origin
    /// One sentence for people, without a full stop.
    public let help: String

    public enum Kind: UInt8, Sendable { case counter, gauge }

    public enum Unit: UInt8, Sendable {
        case none
        case bytes
        case nanoseconds
        case milliseconds
        /// Thousandths of a core.
        case millicores
        /// Thousandths of one: load averages, runnable tasks.
        case milli
        case percent
        /// Units per second (derived, floating point).
        case perSecond
        /// A fraction (derived, floating point).
        case ratio
    }

    /// Where the value comes from.
    public enum Origin: UInt8, Sendable {
        /// Read by the agent, sent in frames.
        case kernel
        /// Computed by the aggregator from counters.
        case rate
        /// From the API server (requests, limits, capacity) or computed with it.
        case cluster
    }

    init(
        _ id: MetricID, _ name: String, _ unit: Unit, _ kind: Kind, _ subjects: SubjectKinds,
        _ help: String, origin: Origin = .kernel
    ) {
        self.id = id
        self.name = name
        self.unit = unit
        self.kind = kind
        self.subjects = subjects
        self.origin = origin
        self.help = help
    }
}

/// What a subject is. Raw values are on the wire and never change.
public enum SubjectKind: UInt8, Sendable, CaseIterable {
    case node = 0
    /// A pod's own cgroup, with its sandbox; parent of its containers and interfaces.
    case pod = 1
    case container = 2
    /// Any cgroup that belongs to no pod: `system.slice/ssh.service`, `kubepods`.
    case systemContainer = 3
    /// Parent: the node, or the pod whose network namespace it is in.
    case networkInterface = 4
    /// Parent: the node, a pod (volume) or a container (writable layer, logs).
    case filesystem = 5
    /// Parent: the node, or the cgroup whose I/O on the device is counted.
    case blockDevice = 6
    case accelerator = 7
    /// One huge page size. Parent: the cgroup.
    case hugePages = 8
    /// The agent itself. Parent: the node.
    case agent = 9
}

/// A set of subject kinds.
public struct SubjectKinds: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public init(_ kind: SubjectKind) { self.rawValue = 1 << UInt16(kind.rawValue) }

    public static let node = SubjectKinds(.node)
    public static let pod = SubjectKinds(.pod)
    public static let container = SubjectKinds(.container)
    public static let systemContainer = SubjectKinds(.systemContainer)
    public static let networkInterface = SubjectKinds(.networkInterface)
    public static let filesystem = SubjectKinds(.filesystem)
    public static let blockDevice = SubjectKinds(.blockDevice)
    public static let accelerator = SubjectKinds(.accelerator)
    public static let hugePages = SubjectKinds(.hugePages)
    public static let agent = SubjectKinds(.agent)
    /// Everything that is a cgroup.
    public static let cgroups: SubjectKinds = [.pod, .container, .systemContainer]
    public static let nodeAndCgroups: SubjectKinds = [.node, .pod, .container, .systemContainer]
    public static let all = SubjectKinds(rawValue: (1 << UInt16(SubjectKind.allCases.count)) - 1)

    public func contains(_ kind: SubjectKind) -> Bool { contains(SubjectKinds(kind)) }
}
