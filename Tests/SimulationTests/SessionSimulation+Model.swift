import Wire

@testable import Aggregator
@testable import NodeAgent

extension SessionSimulation {
    /// Everything in the model's history, by sequence.
    static func frames(of model: NodeModel) throws -> [UInt64: [SimulatedNode.Taken]] {
        var found: [UInt64: [SimulatedNode.Taken]] = [:]
        let snapshots = model.read { state in
            state.chains.map { $0.snapshot(wanting: Array(0..<64)) }
        }
        for snapshot in snapshots {
            try snapshot.replay(
                changed: { _, _ in true },
                frame: { header, decoder in
                    var rows: [Slot: [Int64]] = [:]
                    for slot in decoder.layout.liveSlots {
                        rows[slot] = decoder.row(of: slot).map { Array($0) }
                    }
                    found[header.sequence, default: []].append(
                        SimulatedNode.Taken(step: header.stepMilliseconds, rows: rows))
                    return true
                })
        }
        return found
    }
}
