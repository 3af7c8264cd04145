/// A subject's place in its node's frames. Small and dense: freed slots are used again.
public typealias Slot = UInt32

/// A thing on a node that has metrics, as the dictionary describes it.
///
/// Identity is (kind, name, pod UID, container ID, start time): the same slot with another identity
/// is another subject.
public struct Subject: Sendable, Equatable {
    public var kind: SubjectKind
    /// The slot of the pod, cgroup or node that it belongs to; `nil` for the node itself.
    public var parent: Slot?
    /// When it started, milliseconds since the Unix epoch; 0 where the agent cannot know.
    public var startTimeMilliseconds: Int64
    public var attributes: [Attribute: String]

    public init(
        kind: SubjectKind, parent: Slot? = nil, startTimeMilliseconds: Int64 = 0,
        attributes: [Attribute: String] = [:]
    ) {
        self.kind = kind
        self.parent = parent
        self.startTimeMilliseconds = startTimeMilliseconds
        self.attributes = attributes
    }

    /// What a dictionary entry can say about a subject, in UTF-8. Raw values are on the wire;
    /// an unknown one is kept and passed on.
    public struct Attribute: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// A system container's cgroup path without the leading slash, an interface, a mount point,
        /// a device (`sda`), a huge page size (`2MB`), a volume's name.
        public static let name = Attribute(rawValue: 1)
        /// As Kubernetes writes it (with dashes), or a static pod's 32 hexadecimal digits.
        public static let podUID = Attribute(rawValue: 2)
        /// 64 hexadecimal digits.
        public static let containerID = Attribute(rawValue: 3)
        /// `containerd`, `cri-o`, `docker`; absent where the path does not say.
        public static let runtime = Attribute(rawValue: 4)
        /// `guaranteed`, `burstable` or `besteffort`.
        public static let qosClass = Attribute(rawValue: 5)
        /// A filesystem's or block device's `major:minor`.
        public static let deviceNumber = Attribute(rawValue: 6)
        /// A filesystem's device or its type (`ext4`).
        public static let device = Attribute(rawValue: 7)
        public static let filesystemType = Attribute(rawValue: 8)
        /// What a filesystem is of its parent: `volume`, `rootfs` or `logs` of a pod or container, `nodefs`
        /// of a node: the one with the kubelet's directory.
        public static let role = Attribute(rawValue: 9)
        /// `sandbox` for a pause container, `host-network` for a pod that shares the node's network.
        public static let sandbox = Attribute(rawValue: 10)
        /// Accelerator make, model and identifier.
        public static let make = Attribute(rawValue: 11)
        public static let model = Attribute(rawValue: 12)
        public static let identifier = Attribute(rawValue: 13)
    }

    public var name: String { attributes[.name] ?? "" }
    public var podUID: String { attributes[.podUID] ?? "" }
    public var containerID: String { attributes[.containerID] ?? "" }
}

/// A schema's number within an agent run.
public typealias SchemaNumber = UInt16

/// A change of the dictionary. Changes come before the frame from which on they hold.
public enum SubjectChange: Sendable, Equatable {
    /// Sent once per schema and run, before the first subject that has it.
    case schema(SchemaNumber, Schema)
    case add(Slot, SchemaNumber, Subject)
    case remove(Slot)
}

/// What every frame says about itself.
public struct FrameHeader: Sendable, Equatable {
    /// Number within the agent run, from 1, without gaps unless a gap was declared.
    public var sequence: UInt64
    /// The step it was taken for: a whole multiple of the resolution, milliseconds since the epoch.
    public var stepMilliseconds: Int64
    /// When reading began, milliseconds after the step. Subjects add `sample/read_offset` to it.
    public var readDelayMilliseconds: Int64
    /// Stands alone: needs the dictionary, but no earlier frame.
    public var isKey: Bool

    public init(
        sequence: UInt64, stepMilliseconds: Int64, readDelayMilliseconds: Int64, isKey: Bool
    ) {
        self.sequence = sequence
        self.stepMilliseconds = stepMilliseconds
        self.readDelayMilliseconds = readDelayMilliseconds
        self.isKey = isKey
    }
}
