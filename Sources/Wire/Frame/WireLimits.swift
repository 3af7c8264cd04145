/// What either end believes of the other, checked before anything is allocated.
public struct WireLimits: Sendable, Equatable {
    /// Payload bytes of one record.
    public var recordBytes = 4 << 20
    /// Live subjects of one node: 220 containers with their pods, interfaces, volumes and devices,
    /// several times over.
    public var subjects = 16_384
    public var schemas = 4_096
    public var fieldsPerSchema = 512
    /// Terms of all predictions of a schema.
    public var termsPerSchema = 2_048
    /// Values of one frame over all subjects.
    public var valuesPerFrame = 1 << 20
    public var attributeBytes = 4_096
    public var attributesPerSubject = 16
    /// Bytes of names that one node's dictionary may hold.
    public var dictionaryBytes = 4 << 20

    public init() {}
}
