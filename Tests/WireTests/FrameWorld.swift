import TestSupport
import Wire

extension SeededRandom {
    mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self) }
    mutating func chance(_ oneIn: Int) -> Bool { below(oneIn) == 0 }
}

/// A made-up node whose subjects come, go and change in every way that matters to the codec, with
/// the values that a decoder must end up with.
struct FrameWorld {
    /// How a column's values go on.
    private enum Behaviour: CaseIterable {
        case still, counter, steadyCounter, gauge, bursts, anything, extremes
    }

    var random: SeededRandom
    private(set) var schemas: [Schema] = []
    private var behaviours: [[Behaviour]] = []
    private(set) var subjects: [Slot: (schema: SchemaNumber, subject: Subject)] = [:]
    /// What every slot's row must be.
    private(set) var values: [Slot: [Int64]] = [:]
    private(set) var sequence: UInt64 = 0
    private var step: Int64 = 1_795_247_355_000
    private let slotEnd: Int

    init(seed: UInt64, schemaCount: Int = 4, slotEnd: Int = 40) {
        random = SeededRandom(seed: seed)
        self.slotEnd = slotEnd
        for _ in 0..<schemaCount { addSchema() }
    }

    private mutating func addSchema() {
        let count = random.chance(3) ? 65 + random.below(100) : 1 + random.below(64)
        var fields: [SchemaField] = []
        var behaviours: [Behaviour] = []
        for _ in 0..<count {
            let units: [UInt32] = [1, 1, 4_096, 1_000, 10_000_000, 7, 96, .max]
            fields.append(
                SchemaField(
                    metric: UInt16(random.below(65_536)),
                    granularity: units[random.below(units.count)],
                    isCounter: random.chance(2)))
            behaviours.append(Behaviour.allCases[random.below(Behaviour.allCases.count)])
        }
        var predictions: [Prediction] = []
        for column in 1..<max(count, 1) where random.chance(4) {
            if random.chance(4) {
                predictions.append(
                    Prediction(column: column, .part(of: random.below(column))))
                continue
            }
            let terms = (0...random.below(7)).map { _ in
                Prediction.Term(
                    column: random.below(column),
                    weight: random.chance(5)
                        ? Int32.random(in: .min ... .max, using: &random)
                        : random.chance(2) ? 1 : -1)
            }
            predictions.append(Prediction(column: column, .sum(terms)))
        }
        schemas.append(Schema(fields, predictions: predictions))
        self.behaviours.append(behaviours)
    }

    /// What a new connection's dictionary says first.
    var schemaChanges: [SubjectChange] {
        schemas.indices.map { .schema(SchemaNumber($0), schemas[$0]) }
    }

    /// Lets some subjects go and some come.
    mutating func churn(oneIn: Int) -> [SubjectChange] {
        var changes: [SubjectChange] = []
        for slot in 0..<Slot(slotEnd) where random.chance(oneIn) {
            if subjects.removeValue(forKey: slot) != nil {
                values[slot] = nil
                changes.append(.remove(slot))
                if random.chance(2) { continue }
            }
            changes.append(add(slot))
        }
        return changes
    }

    private mutating func add(_ slot: Slot) -> SubjectChange {
        let number = SchemaNumber(random.below(schemas.count))
        let subject = Subject(
            kind: SubjectKind.allCases[random.below(SubjectKind.allCases.count)],
            parent: random.chance(2) ? nil : Slot(random.below(slotEnd)),
            startTimeMilliseconds: random.chance(2) ? 0 : 1_795_000_000_000 + Int64(slot),
            attributes: random.chance(3) ? [:] : [.name: "subject \(slot)", .podUID: uid()])
        subjects[slot] = (number, subject)
        // A new row is zeros until it is written.
        let count = schemas[Int(number)].fields.count
        values[slot] = (0..<count).map { column in
            let unit = Int64(schemas[Int(number)].fields[column].granularity)
            return random.chance(2) ? 0 : Int64(random.below(1_000_000)) &* unit
        }
        return .add(slot, number, subject)
    }

    private mutating func uid() -> String {
        let digits = String(random.next(), radix: 16)
        return "01234567-89ab-cdef-0123-" + String(("000000000000" + digits).suffix(12))
    }

    /// Moves every value on.
    mutating func advance() {
        for slot in subjects.keys.sorted() {
            guard let number = subjects[slot]?.schema, var row = values[slot] else { continue }
            for column in row.indices { change(&row, column, Int(number)) }
            values[slot] = row
        }
    }

    private mutating func change(_ row: inout [Int64], _ column: Int, _ number: Int) {
        let unit = Int64(schemas[number].fields[column].granularity)
        let old = row[column]
        switch behaviours[number][column] {
        case .still:
            if random.chance(50) { row[column] = old &+ unit }
        case .counter:
            if random.chance(2) { row[column] = old &+ Int64(random.below(1 << 24)) &* unit }
        case .steadyCounter:
            row[column] = old &+ (100_000 + Int64(random.below(100))) &* unit
        case .gauge:
            row[column] = old &+ (Int64(random.below(64)) - 32) &* unit
        case .bursts:
            if random.chance(10) { row[column] = old &+ Int64(random.below(1 << 40)) }
        case .anything:
            if random.chance(3) { row[column] = Int64(bitPattern: random.next()) }
        case .extremes:
            let extremes = [Int64.min, .max, 0, -1, 1, unit, 0 &- unit, .min + 1]
            if random.chance(2) { row[column] = extremes[random.below(extremes.count)] }
        }
    }

    mutating func nextHeader(isKey: Bool) -> FrameHeader {
        sequence &+= isKey && random.chance(3) ? 1 + UInt64(random.below(1_000)) : 1
        step &+= random.chance(10) ? 3_000 : 1_000
        return FrameHeader(
            sequence: sequence, stepMilliseconds: step,
            readDelayMilliseconds: Int64(random.below(30)) - 3, isKey: isKey)
    }

    /// Writes the values into the encoder's rows, unchanged ones only sometimes.
    mutating func fill(_ encoder: FrameEncoder) {
        for (slot, row) in values {
            let target = encoder.row(of: slot)
            for column in row.indices where target[column] != row[column] || random.chance(2) {
                target[column] = row[column]
            }
        }
    }
}

extension FrameEncoder {
    func encode(_ header: FrameHeader) -> [UInt8] {
        var bytes: [UInt8] = []
        encode(header, into: &bytes)
        return bytes
    }
}

extension FrameDecoder {
    @discardableResult
    func decode(_ bytes: [UInt8]) throws(WireError) -> FrameHeader {
        try withBytes(bytes) { raw throws(WireError) in try decode(raw) }
    }

    /// The rows of all slots that have one.
    var rows: [Slot: [Int64]] {
        var rows: [Slot: [Int64]] = [:]
        for slot in layout.liveSlots { rows[slot] = row(of: slot).map(Array.init) }
        return rows
    }
}

/// `withUnsafeBytes` with a typed error.
func withBytes<Result>(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(WireError) -> Result
) throws(WireError) -> Result {
    var outcome: Swift.Result<Result, WireError>?
    bytes.withUnsafeBytes { raw in
        do throws(WireError) {
            outcome = .success(try body(raw))
        } catch {
            outcome = .failure(error)
        }
    }
    guard let outcome else { throw .truncated(offset: 0) }
    return try outcome.get()
}

/// Changes through the dictionary codec.
func throughCodec(_ changes: [SubjectChange]) throws(WireError) -> [SubjectChange] {
    var bytes: [UInt8] = []
    DictionaryCodec.encode(changes, into: &bytes)
    return try withBytes(bytes) { raw throws(WireError) in try DictionaryCodec.decode(raw) }
}
