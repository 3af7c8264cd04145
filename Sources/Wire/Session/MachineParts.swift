/// A part of the machine that has memory and processors of its own.
public struct NUMANode: Sendable, Equatable {
    public var number: UInt64 = 0
    public var memoryBytes: UInt64 = 0
    /// Its logical CPUs as the kernel lists them: `0-3,8-11`.
    public var cpus = ""
    /// How far it is to each node, itself included, in the order of their numbers: `10 21`.
    public var distances = ""

    public init() {}
}

/// Pages of one size that the machine has set aside.
public struct HugePagePool: Sendable, Equatable {
    public var pageBytes: UInt64 = 0
    public var pageCount: UInt64 = 0

    public init(pageBytes: UInt64 = 0, pageCount: UInt64 = 0) {
        self.pageBytes = pageBytes
        self.pageCount = pageCount
    }
}

/// A device of the machine itself: a disk or a network card, not what containers are given.
public struct MachineDevice: Sendable, Equatable {
    /// Others are devices of kinds to come.
    public struct Kind: RawRepresentable, Sendable, Equatable {
        public var rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }
        public static let disk = Kind(rawValue: 1)
        public static let network = Kind(rawValue: 2)
    }

    public var kind = Kind.disk
    /// `nvme0n1`, `eth0`.
    public var name = ""
    /// A disk's, where it has one.
    public var model = ""
    /// A disk's `major:minor`, a network card's address.
    public var address = ""
    /// A disk's size.
    public var byteCount: UInt64 = 0
    /// A disk with a spinning plate.
    public var isRotational = false
    /// A network card's, in megabits a second; 0 where the driver does not know.
    public var speedMegabits: UInt64 = 0
    /// A network card's largest packet, in bytes.
    public var packetBytes: UInt64 = 0

    public init(kind: Kind = .disk, name: String = "") {
        self.kind = kind
        self.name = name
    }
}

/// Bytes that a text in a part may have.
private let textLimit = 1_024

extension NUMANode {
    private enum Tag {
        static let number: UInt8 = 1
        static let memoryBytes: UInt8 = 2
        static let cpus: UInt8 = 3
        static let distances: UInt8 = 4
    }

    func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        fields.put(Tag.number, integer: number)
        fields.put(Tag.memoryBytes, integer: memoryBytes)
        fields.put(Tag.cpus, text: cpus)
        fields.put(Tag.distances, text: distances)
        return fields.bytes
    }

    init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var node = NUMANode()
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            switch tag {
            case Tag.number: node.number = try value.integer()
            case Tag.memoryBytes: node.memoryBytes = try value.integer()
            case Tag.cpus: node.cpus = try value.text(limit: textLimit)
            case Tag.distances: node.distances = try value.text(limit: textLimit)
            default: break
            }
        }
        self = node
    }
}

extension HugePagePool {
    private enum Tag {
        static let pageBytes: UInt8 = 1
        static let pageCount: UInt8 = 2
    }

    func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        fields.put(Tag.pageBytes, integer: pageBytes)
        fields.put(Tag.pageCount, integer: pageCount)
        return fields.bytes
    }

    init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var pool = HugePagePool()
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            switch tag {
            case Tag.pageBytes: pool.pageBytes = try value.integer()
            case Tag.pageCount: pool.pageCount = try value.integer()
            default: break
            }
        }
        self = pool
    }
}

extension MachineDevice {
    private enum Tag {
        static let kind: UInt8 = 1
        static let name: UInt8 = 2
        static let model: UInt8 = 3
        static let address: UInt8 = 4
        static let byteCount: UInt8 = 5
        static let isRotational: UInt8 = 6
        static let speedMegabits: UInt8 = 7
        static let packetBytes: UInt8 = 8
    }

    func encode() -> [UInt8] {
        var fields = MessageFieldWriter()
        fields.put(Tag.kind, integer: kind.rawValue)
        fields.put(Tag.name, text: name)
        fields.put(Tag.model, text: model)
        fields.put(Tag.address, text: address)
        fields.put(Tag.byteCount, integer: byteCount)
        fields.put(Tag.isRotational, integer: isRotational ? 1 : 0)
        fields.put(Tag.speedMegabits, integer: speedMegabits)
        fields.put(Tag.packetBytes, integer: packetBytes)
        return fields.bytes
    }

    init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var device = MachineDevice(kind: Kind(rawValue: 0))
        try MessageFieldReader.read(payload) { (tag, value) throws(WireError) in
            switch tag {
            case Tag.kind: device.kind = Kind(rawValue: try value.integer())
            case Tag.name: device.name = try value.text(limit: textLimit)
            case Tag.model: device.model = try value.text(limit: textLimit)
            case Tag.address: device.address = try value.text(limit: textLimit)
            case Tag.byteCount: device.byteCount = try value.integer()
            case Tag.isRotational: device.isRotational = try value.integer() != 0
            case Tag.speedMegabits: device.speedMegabits = try value.integer()
            case Tag.packetBytes: device.packetBytes = try value.integer()
            default: break
            }
        }
        self = device
    }
}
