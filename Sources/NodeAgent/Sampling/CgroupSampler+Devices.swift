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

    /// Writes the I/O that the reader holds to the rows of the cgroup's devices.
    func writeDevices(_ index: Int, _ encoder: FrameEncoder, _ offset: Int64) {
        var writtenCount = 0
        for io in reader.deviceIO {
            if let known = entries[index].devices.first(where: { $0.device == io.device }) {
                Self.write(io, offset: offset, to: encoder.row(of: known.slot))
                writtenCount += 1
            } else {
                newDevices.append((entries[index].path, io))
            }
        }
        // A device that left the machine leaves the file.
        guard writtenCount < entries[index].devices.count else { return }
        for known in entries[index].devices
        where !reader.deviceIO.contains(where: { $0.device == known.device }) {
            goneDevices.append((entries[index].path, known.device))
        }
    }

    var hasUnsettledDevices: Bool { !newDevices.isEmpty || !goneDevices.isEmpty }

    /// Makes subjects of the devices that the last step saw for the first time. One whose name is not
    /// to be had now is seen for the first time once more in the next step.
    ///
    /// - Returns: the new subjects' slots and first values, to be written once the encoder knows
    ///   them.
    func settleDevices(
        registry: inout SubjectRegistry, nameOf: (DeviceNumber) -> String?
    ) -> [(slot: Slot, io: DeviceIO)] {
        for (path, device) in goneDevices {
            guard let index = indexOfPath[path],
                let known = entries[index].devices.firstIndex(where: { $0.device == device })
            else { continue }
            registry.remove(entries[index].devices.remove(at: known).slot)
        }
        goneDevices.removeAll(keepingCapacity: true)
        var added: [(slot: Slot, io: DeviceIO)] = []
        for (path, io) in newDevices {
            guard let index = indexOfPath[path],
                !entries[index].devices.contains(where: { $0.device == io.device })
            else { continue }
            guard let name = nameOf(io.device) else {
                entries[index].ioDigest = 0
                continue
            }
            let subject = Subject(
                kind: .blockDevice, parent: entries[index].slot,
                attributes: [.name: name, .deviceNumber: io.device.description])
            guard let slot = registry.add(subject, fields: Self.deviceFields) else { continue }
            entries[index].devices.append(CgroupEntry.Device(device: io.device, slot: slot))
            added.append((slot, io))
        }
        newDevices.removeAll(keepingCapacity: true)
        return added
    }
}
