import Wire

@testable import NodeAgent

/// A node's subjects and values by one seed, and what was taken of them: the oracle.
struct SimulatedNode {
    /// What one frame said, by slot.
    struct Taken: Equatable {
        var step: Int64
        var rows: [Slot: [Int64]]
    }

    private(set) var taken: [UInt64: Taken] = [:]
    private var random: SplitMix64
    private var schemas: [Schema] = []
    private var live: [Slot] = []
    private let slotEnd: Int
    private var nameCount = 0

    init(seed: UInt64, slots: Int) {
        random = SplitMix64(seed: seed)
        slotEnd = slots
    }

    /// Lets subjects come and go, changes values and appends one frame.
    mutating func step(_ step: Int64, outbox: Outbox) throws {
        let changes = try change(outbox.encoder)
        var rows: [Slot: [Int64]] = [:]
        for slot in live {
            let row = outbox.encoder.row(of: slot)
            for column in row.indices where UInt8.random(in: 0..<8, using: &random) < 3 {
                row[column] &+= Int64.random(in: -3...1_000_000, using: &random)
            }
            if UInt8.random(in: 0..<64, using: &random) == 0 {
                row[0] = .random(in: .min ... .max, using: &random)
            }
            rows[slot] = Array(row)
        }
        let sequence = outbox.append(
            step: step, readDelay: Int64.random(in: 0...5, using: &random), changes: changes)
        taken[sequence] = Taken(step: step, rows: rows)
    }

    /// A new process finds everything anew.
    mutating func restart() {
        schemas = []
        live = []
    }

    private mutating func change(_ encoder: FrameEncoder) throws -> [SubjectChange] {
        var changes: [SubjectChange] = []
        let isFirst = live.isEmpty
        if !isFirst, live.count > 2, UInt8.random(in: 0..<4, using: &random) == 0 {
            // The node, which is the others' parent, stays.
            let index = Int.random(in: 1..<live.count, using: &random)
            changes.append(.remove(live.remove(at: index)))
        }
        let additions = isFirst ? 4 : (UInt8.random(in: 0..<4, using: &random) == 0 ? 1 : 0)
        for _ in 0..<additions where live.count < slotEnd {
            let free = (0..<Slot(slotEnd)).filter { !live.contains($0) }
            guard let slot = live.isEmpty ? 0 : free.randomElement(using: &random) else { continue }
            let width = Int.random(in: 1...9, using: &random)
            let schema = Schema(
                (0..<width).map { SchemaField(metric: UInt16($0 + 1_000), granularity: 1) })
            if !schemas.contains(schema) {
                changes.append(.schema(SchemaNumber(schemas.count), schema))
                schemas.append(schema)
            }
            guard let number = schemas.firstIndex(of: schema) else { continue }
            nameCount += 1
            let subject = Subject(
                kind: live.isEmpty ? .node : .container, parent: live.isEmpty ? nil : 0,
                startTimeMilliseconds: Int64(nameCount), attributes: [.name: "c\(nameCount)"])
            changes.append(.add(slot, SchemaNumber(number), subject))
            live.append(slot)
        }
        for change in changes { try encoder.apply(change) }
        return changes
    }
}
