import Wire

/// The project's own codec, through its public interface, decoded again to check every value.
struct HeapwireCodec {
    /// All bytes of a recording.
    struct Size {
        var dictionary = 0
        var keyFrame = 0
        var frames = 0
    }

    enum Failure: Error { case wrongValue(subject: String, step: Int) }

    /// - Parameter keyInterval: frames from one key frame to the next; 0 for none but the first.
    static func measure(
        _ subjects: [SampleSubject], stride: Int, keyInterval: Int = 0
    ) throws -> Size {
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()
        var size = Size()
        let changes = dictionary(subjects)
        for change in changes {
            try encoder.apply(change)
            try decoder.apply(change)
        }
        var bytes: [UInt8] = []
        DictionaryCodec.encode(changes, into: &bytes)
        size.dictionary = bytes.count
        for step in subjects[0].rows.indices {
            for (slot, subject) in subjects.enumerated() {
                let row = encoder.row(of: Slot(slot))
                for column in row.indices { row[column] = subject.rows[step][column] }
            }
            let isKey = step == 0 || (keyInterval > 0 && step % keyInterval == 0)
            bytes.removeAll(keepingCapacity: true)
            encoder.encode(
                FrameHeader(
                    sequence: UInt64(step) + 1,
                    stepMilliseconds: 1_795_247_355_000 + Int64(step * stride * 1_000),
                    readDelayMilliseconds: 13, isKey: isKey), into: &bytes)
            size.frames += bytes.count
            if step == 0 { size.keyFrame = bytes.count }
            try bytes.withUnsafeBytes { _ = try decoder.decode($0) }
            for (slot, subject) in subjects.enumerated() {
                guard let row = decoder.row(of: Slot(slot)), row.elementsEqual(subject.rows[step])
                else { throw Failure.wrongValue(subject: subject.name, step: step) }
            }
        }
        return size
    }

    /// Schemas first, then the subjects in the order of their slots.
    static func dictionary(_ subjects: [SampleSubject]) -> [SubjectChange] {
        var numbers: [Schema: SchemaNumber] = [:]
        var changes: [SubjectChange] = []
        for (slot, subject) in subjects.enumerated() {
            let number = numbers[subject.schema] ?? SchemaNumber(numbers.count)
            if numbers.updateValue(number, forKey: subject.schema) == nil {
                changes.append(.schema(number, subject.schema))
            }
            let isNode = subject.name == "node"
            changes.append(
                .add(
                    Slot(slot), number,
                    Subject(
                        kind: isNode ? .node : .container, parent: isNode ? nil : 0,
                        attributes: [.name: subject.name])))
        }
        return changes
    }
}
