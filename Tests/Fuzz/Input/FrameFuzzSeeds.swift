import Wire

/// Well-formed inputs, as the encoder makes them, for the fuzzer to begin from. The same at every
/// call.
public struct FrameFuzzSeeds {
    private var seed: UInt64
    private let encoder = FrameEncoder()
    private let decoder = FrameDecoder()
    private var schemas: [Schema] = []
    private var slots: [Slot: SchemaNumber] = [:]
    private var sequence: UInt64 = 0
    private var step: Int64 = 1_795_247_355_000
    private var input: [UInt8] = []

    private init(seed: UInt64) { self.seed = seed &* 0x9E37_79B9_7F4A_7C15 }

    /// Streams from an empty decoder, and streams that begin in a decoder's state.
    public static func make(count: Int) throws(WireError) -> [[UInt8]] {
        var inputs: [[UInt8]] = []
        for index in 0..<count {
            var maker = FrameFuzzSeeds(seed: UInt64(index) + 1)
            inputs += try maker.make(subjectCount: 1 + index % 12, frameCount: 2 + index % 9)
        }
        return inputs
    }

    /// One stream, its second half behind the state that the first half leaves, and that state alone
    /// when it is stale.
    private mutating func make(
        subjectCount: Int, frameCount: Int
    ) throws(WireError) -> [[UInt8]] {
        var inputs: [[UInt8]] = []
        input = [0]
        try addDictionary(subjectCount)
        for index in 0..<frameCount { try addFrame(isKey: index == 0) }
        inputs.append(input)
        beginWithState()
        if below(2) == 0 { try churn(subjectCount) }
        for _ in 0..<frameCount { try addFrame(isKey: below(8) == 0) }
        inputs.append(input)
        // A frame that never comes leaves the decoder stale, until the key frame.
        moveOn()
        _ = encode(isKey: false)
        let late = encode(isKey: false)
        guard case .failure = decode(late) else { return inputs }
        beginWithState()
        try addFrame(isKey: true)
        try addFrame(isKey: false)
        inputs.append(input)
        return inputs
    }

    private mutating func below(_ count: UInt64) -> UInt64 {
        seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (seed >> 33) % count
    }

    private mutating func beginWithState() {
        var state: [UInt8] = []
        decoder.serialize(into: &state)
        input = [1]
        append(state)
    }

    private mutating func append(_ bytes: [UInt8]) {
        precondition(bytes.count < 65_536, "too long for an input")
        input.append(UInt8(truncatingIfNeeded: bytes.count))
        input.append(UInt8(truncatingIfNeeded: bytes.count >> 8))
        input += bytes
    }

    private mutating func add(_ changes: [SubjectChange]) throws(WireError) {
        var payload: [UInt8] = []
        DictionaryCodec.encode(changes, into: &payload)
        for change in changes {
            try encoder.apply(change)
            try decoder.apply(change)
        }
        input.append(FrameFuzzInput.Kind.dictionary)
        append(payload)
    }

    private mutating func addDictionary(_ subjectCount: Int) throws(WireError) {
        var changes: [SubjectChange] = []
        for number in 0..<(1 + Int(below(3))) {
            schemas.append(makeSchema(number))
            changes.append(.schema(SchemaNumber(number), schemas[number]))
        }
        for slot in 0..<subjectCount {
            // In slots of several groups, the selective reader's among them.
            changes.append(addition(Slot(subjectCount < 4 ? slot + 8 : slot)))
        }
        try add(changes)
    }

    private mutating func makeSchema(_ number: Int) -> Schema {
        let count = below(6) == 0 ? 66 : 1 + Int(below(9))
        let units: [UInt32] = [1, 1, 4_096, 10_000_000, 7]
        let fields = (0..<count).map { column in
            SchemaField(
                metric: UInt16(column + number * 70), granularity: units[Int(below(5))],
                isCounter: below(2) == 0)
        }
        var predictions: [Prediction] = []
        for column in 1..<max(count, 2) where column < count && below(4) == 0 {
            let first = Prediction.Term(column: Int(below(UInt64(column))))
            let second = Prediction.Term(column: column - 1, weight: -1)
            predictions.append(
                Prediction(
                    column: column,
                    below(3) == 0 ? .part(of: column - 1) : .sum([first, second])))
        }
        return Schema(fields, predictions: predictions)
    }

    private mutating func addition(_ slot: Slot) -> SubjectChange {
        let number = SchemaNumber(below(UInt64(schemas.count)))
        slots[slot] = number
        let attributes: [Subject.Attribute: String] =
            below(3) == 0
            ? [:]
            : [
                .name: "s\(slot)", .podUID: "01234567-89ab-cdef-0123-456789abcd\(10 + slot)",
                .containerID: String(repeating: "ab", count: 32),
            ]
        return .add(
            slot, number,
            Subject(
                kind: SubjectKind.allCases[Int(below(UInt64(SubjectKind.allCases.count)))],
                parent: below(2) == 0 ? nil : Slot(below(4)),
                startTimeMilliseconds: below(2) == 0 ? 0 : 1_795_000_000_000 + Int64(slot),
                attributes: attributes))
    }

    private mutating func churn(_ subjectCount: Int) throws(WireError) {
        var changes: [SubjectChange] = []
        for slot in slots.keys.sorted() where below(3) == 0 {
            slots[slot] = nil
            changes.append(.remove(slot))
            if below(2) == 0 { changes.append(addition(slot)) }
        }
        changes.append(addition(Slot(subjectCount + 8)))
        try add(changes)
    }

    private mutating func moveOn() {
        for (slot, number) in slots.sorted(by: { $0.key < $1.key }) {
            let row = encoder.row(of: slot)
            for (column, field) in schemas[Int(number)].fields.enumerated() {
                let unit = Int64(field.granularity)
                switch (column + Int(number)) % 5 {
                case 0: row[column] &+= (100_000 + Int64(below(100))) &* unit
                case 1: row[column] &+= (Int64(below(64)) - 32) &* unit
                case 2 where below(4) == 0: row[column] &+= Int64(below(1 << 30)) &* unit
                case 3 where below(9) == 0: row[column] = below(2) == 0 ? .min : .max
                case 4 where below(3) == 0: row[column] &+= Int64(below(1 << 31))
                default: break
                }
            }
        }
    }

    private mutating func encode(isKey: Bool) -> [UInt8] {
        sequence += 1
        step += below(10) == 0 ? 3_000 : 1_000
        var payload: [UInt8] = []
        encoder.encode(
            FrameHeader(
                sequence: sequence, stepMilliseconds: step,
                readDelayMilliseconds: Int64(below(30)) - 3, isKey: isKey),
            into: &payload)
        return payload
    }

    private func decode(_ payload: [UInt8]) -> Result<FrameHeader, WireError> {
        payload.withUnsafeBytes { raw in
            Result { () throws(WireError) in try decoder.decode(raw) }
        }
    }

    private mutating func addFrame(isKey: Bool) throws(WireError) {
        moveOn()
        let payload = encode(isKey: isKey)
        _ = try decode(payload).get()
        let continued = below(5) == 0 ? FrameFuzzInput.Kind.continued : 0
        input.append(FrameFuzzInput.Kind.frame | continued)
        append(payload)
    }
}
