import Wire

/// Block I/O of cgroups: a subject per cgroup and device, made when the device first appears.
extension CgroupSampler {
    static let deviceFields: [SchemaField] = [
        SchemaField(.readOffset), SchemaField(.diskReadBytes, granularity: 512),
        SchemaField(.diskWriteBytes, granularity: 512), SchemaField(.diskReads),
        SchemaField(.diskWrites), SchemaField(.diskDiscardBytes, granularity: 512),
        SchemaField(.diskDiscards),
    ]

    static func write(
        _ io: DeviceIO, offset: Int64, to row: UnsafeMutableBufferPointer<Int64>
    ) {
        guard row.count == deviceFields.count else { return }
        row[0] = offset
        row[1] = io.readBytes
        row[2] = io.writeBytes
        row[3] = io.reads
        row[4] = io.writes
        row[5] = io.discardBytes
        row[6] = io.discards
    }
}
