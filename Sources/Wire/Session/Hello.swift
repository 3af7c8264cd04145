/// The first record of a connection, from the agent: who speaks, about which machine, what it has.
public struct Hello: Sendable, Equatable {
    /// Four bytes before the first record, so that a browser or a wrong port is told apart at once.
    public static let preface: [UInt8] = Array("HWP1".utf8)
    /// The protocol's version, raised when an old peer would misunderstand.
    public static let version: UInt8 = 2

    public var minimumVersion: UInt8 = Hello.version
    public var maximumVersion: UInt8 = Hello.version
    public var nodeName: String
    public var agentVersion = ""
    /// 16 random bytes, new at every start of the agent: sequence numbers count within it.
    public var runID: [UInt8]
    /// Milliseconds between frames; 0 takes the aggregator's wish.
    public var resolutionMilliseconds: UInt64 = 0
    /// The agent's clock when this was sent, milliseconds since the epoch.
    public var clockMilliseconds: UInt64 = 0
    /// The oldest frame that the agent can still send, and the newest; 0 when there is none yet.
    public var oldestSequence: UInt64 = 0
    public var newestSequence: UInt64 = 0
    public var machine = MachineFacts()
    public var credential = Credential.none

    /// Who the agent is, proven. Never logged.
    public enum Credential: Sendable, Equatable {
        case none
        /// A token shared by all agents (`--agent-token-file`).
        case sharedToken(String)
        /// A Kubernetes service account token with the aggregator's audience.
        case serviceAccountToken(String)
    }

    public init(nodeName: String, runID: [UInt8]) {
        self.nodeName = nodeName
        self.runID = runID
    }
}

/// What the agent knows of its machine; sent in the hello and, alone, when it changes.
public struct MachineFacts: Sendable, Equatable {
    public var machineID = ""
    public var bootID = ""
    public var systemUUID = ""
    public var kernelVersion = ""
    public var operatingSystem = ""
    public var architecture = ""
    /// 1, 2, or 0 where there is none. A hybrid host counts as 1.
    public var cgroupVersion: UInt64 = 0
    /// `systemd` or `cgroupfs`; empty where no pod has been seen.
    public var cgroupDriver = ""
    public var cores: UInt64 = 0
    public var physicalCores: UInt64 = 0
    public var sockets: UInt64 = 0
    public var numaNodes: UInt64 = 0
    public var memoryBytes: UInt64 = 0
    public var swapBytes: UInt64 = 0
    /// When the machine was booted, milliseconds since the epoch.
    public var bootTimeMilliseconds: UInt64 = 0
    public var cpuVendor = ""
    public var cpuModel = ""
    /// The highest clock of the first CPU, kilohertz; 0 where it is not known.
    public var cpuKilohertz: UInt64 = 0
    /// Who made the machine and what it is called; a virtual machine's kind.
    public var vendor = ""
    public var product = ""
    /// By number.
    public var nodes: [NUMANode] = []
    /// By size of the page.
    public var hugePages: [HugePagePool] = []
    /// Disks, then network cards, by name.
    public var devices: [MachineDevice] = []

    /// More parts than these are not told and not taken.
    public static let nodeLimit = 256
    public static let hugePageLimit = 16
    public static let deviceLimit = 512

    public init() {}
}

private enum Tag {
    static let minimumVersion: UInt8 = 1
    static let maximumVersion: UInt8 = 2
    static let nodeName: UInt8 = 3
    static let agentVersion: UInt8 = 4
    static let runID: UInt8 = 5
    static let resolution: UInt8 = 6
    static let clock: UInt8 = 7
    static let oldestSequence: UInt8 = 8
    static let newestSequence: UInt8 = 9
    static let sharedToken: UInt8 = 10
    static let serviceAccountToken: UInt8 = 11
    static let machineID: UInt8 = 32
    static let bootID: UInt8 = 33
    static let systemUUID: UInt8 = 34
    static let kernelVersion: UInt8 = 35
    static let operatingSystem: UInt8 = 36
    static let architecture: UInt8 = 37
    static let cgroupVersion: UInt8 = 38
    static let cgroupDriver: UInt8 = 39
    static let cores: UInt8 = 40
    static let physicalCores: UInt8 = 41
    static let sockets: UInt8 = 42
    static let numaNodes: UInt8 = 43
    static let memoryBytes: UInt8 = 44
    static let swapBytes: UInt8 = 45
    static let bootTime: UInt8 = 46
    static let cpuVendor: UInt8 = 47
    static let cpuModel: UInt8 = 48
    static let cpuKilohertz: UInt8 = 49
    static let vendor: UInt8 = 50
    static let product: UInt8 = 51
    static let node: UInt8 = 52
    static let hugePages: UInt8 = 53
    static let device: UInt8 = 54
}

/// Bytes that a name in a hello may have, and a token.
private let nameLimit = 1_024
private let tokenLimit = 16_384

extension Hello {
    public func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        fields.put(Tag.minimumVersion, integer: UInt64(minimumVersion))
        fields.put(Tag.maximumVersion, integer: UInt64(maximumVersion))
        fields.put(Tag.nodeName, text: nodeName)
        fields.put(Tag.agentVersion, text: agentVersion)
        fields.put(Tag.runID, bytes: runID)
        fields.put(Tag.resolution, integer: resolutionMilliseconds)
        fields.put(Tag.clock, integer: clockMilliseconds)
        fields.put(Tag.oldestSequence, integer: oldestSequence)
        fields.put(Tag.newestSequence, integer: newestSequence)
        switch credential {
        case .none: break
        case .sharedToken(let token): fields.put(Tag.sharedToken, text: token)
        case .serviceAccountToken(let token): fields.put(Tag.serviceAccountToken, text: token)
        }
        machine.put(into: &fields)
        return fields.bytes
    }

    /// - Throws: `malformed` without a node name or with a run ID that is not 16 bytes.
    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var hello = Hello(nodeName: "", runID: [])
        // Absent integers are 0: a hello without versions fits nobody.
        (hello.minimumVersion, hello.maximumVersion) = (0, 0)
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            switch tag {
            case Tag.minimumVersion:
                hello.minimumVersion = UInt8(clamping: try value.integer())
            case Tag.maximumVersion:
                hello.maximumVersion = UInt8(clamping: try value.integer())
            case Tag.nodeName: hello.nodeName = try value.text(limit: nameLimit)
            case Tag.agentVersion: hello.agentVersion = try value.text(limit: nameLimit)
            case Tag.runID: hello.runID = Array(value.bytes)
            case Tag.resolution: hello.resolutionMilliseconds = try value.integer()
            case Tag.clock: hello.clockMilliseconds = try value.integer()
            case Tag.oldestSequence: hello.oldestSequence = try value.integer()
            case Tag.newestSequence: hello.newestSequence = try value.integer()
            case Tag.sharedToken:
                hello.credential = .sharedToken(try value.text(limit: tokenLimit))
            case Tag.serviceAccountToken:
                hello.credential = .serviceAccountToken(try value.text(limit: tokenLimit))
            default: try hello.machine.take(tag, value)
            }
        }
        guard !hello.nodeName.isEmpty else { throw .malformed(what: "node name", offset: 0) }
        guard hello.runID.count == 16 else { throw .malformed(what: "run ID", offset: 0) }
        self = hello
    }
}

extension MachineFacts {
    public func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        put(into: &fields)
        return fields.bytes
    }

    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var facts = MachineFacts()
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            try facts.take(tag, value)
        }
        self = facts
    }

    fileprivate func put(into fields: inout MessageFieldWriter) {
        fields.put(Tag.machineID, text: machineID)
        fields.put(Tag.bootID, text: bootID)
        fields.put(Tag.systemUUID, text: systemUUID)
        fields.put(Tag.kernelVersion, text: kernelVersion)
        fields.put(Tag.operatingSystem, text: operatingSystem)
        fields.put(Tag.architecture, text: architecture)
        fields.put(Tag.cgroupVersion, integer: cgroupVersion)
        fields.put(Tag.cgroupDriver, text: cgroupDriver)
        fields.put(Tag.cores, integer: cores)
        fields.put(Tag.physicalCores, integer: physicalCores)
        fields.put(Tag.sockets, integer: sockets)
        fields.put(Tag.numaNodes, integer: numaNodes)
        fields.put(Tag.memoryBytes, integer: memoryBytes)
        fields.put(Tag.swapBytes, integer: swapBytes)
        fields.put(Tag.bootTime, integer: bootTimeMilliseconds)
        fields.put(Tag.cpuVendor, text: cpuVendor)
        fields.put(Tag.cpuModel, text: cpuModel)
        fields.put(Tag.cpuKilohertz, integer: cpuKilohertz)
        fields.put(Tag.vendor, text: vendor)
        fields.put(Tag.product, text: product)
        for node in nodes.prefix(Self.nodeLimit) { fields.put(Tag.node, bytes: node.encode()) }
        for pool in hugePages.prefix(Self.hugePageLimit) {
            fields.put(Tag.hugePages, bytes: pool.encode())
        }
        for device in devices.prefix(Self.deviceLimit) {
            fields.put(Tag.device, bytes: device.encode())
        }
    }

    fileprivate mutating func take(
        _ tag: UInt8, _ value: MessageFieldReader.FieldValue
    ) throws(WireError) {
        switch tag {
        case Tag.machineID: machineID = try value.text(limit: nameLimit)
        case Tag.bootID: bootID = try value.text(limit: nameLimit)
        case Tag.systemUUID: systemUUID = try value.text(limit: nameLimit)
        case Tag.kernelVersion: kernelVersion = try value.text(limit: nameLimit)
        case Tag.operatingSystem: operatingSystem = try value.text(limit: nameLimit)
        case Tag.architecture: architecture = try value.text(limit: nameLimit)
        case Tag.cgroupVersion: cgroupVersion = try value.integer()
        case Tag.cgroupDriver: cgroupDriver = try value.text(limit: nameLimit)
        case Tag.cores: cores = try value.integer()
        case Tag.physicalCores: physicalCores = try value.integer()
        case Tag.sockets: sockets = try value.integer()
        case Tag.numaNodes: numaNodes = try value.integer()
        case Tag.memoryBytes: memoryBytes = try value.integer()
        case Tag.swapBytes: swapBytes = try value.integer()
        case Tag.bootTime: bootTimeMilliseconds = try value.integer()
        default: try takePart(tag, value)
        }
    }

    private mutating func takePart(
        _ tag: UInt8, _ value: MessageFieldReader.FieldValue
    ) throws(WireError) {
        switch tag {
        case Tag.cpuVendor: cpuVendor = try value.text(limit: nameLimit)
        case Tag.cpuModel: cpuModel = try value.text(limit: nameLimit)
        case Tag.cpuKilohertz: cpuKilohertz = try value.integer()
        case Tag.vendor: vendor = try value.text(limit: nameLimit)
        case Tag.product: product = try value.text(limit: nameLimit)
        case Tag.node:
            try Self.check(nodes.count, Self.nodeLimit, "NUMA nodes")
            nodes.append(try NUMANode(decoding: value.bytes))
        case Tag.hugePages:
            try Self.check(hugePages.count, Self.hugePageLimit, "huge page sizes")
            hugePages.append(try HugePagePool(decoding: value.bytes))
        case Tag.device:
            try Self.check(devices.count, Self.deviceLimit, "devices")
            devices.append(try MachineDevice(decoding: value.bytes))
        default: break
        }
    }

    private static func check(
        _ count: Int, _ limit: Int, _ what: StaticText
    ) throws(WireError) {
        guard count < limit else {
            throw .limitExceeded(what: what, actual: count + 1, limit: limit)
        }
    }
}
