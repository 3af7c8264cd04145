import Foundation
import Testing
import Wire

@testable import Aggregator
@testable import NodeAgent

/// Any interleaving of send, cut, ack and restart ends with equal sample sets.
///
/// `SIMULATION_SEEDS=COUNT` tries more.
@Suite struct SessionSimulationTests {
    static let seeds =
        ProcessInfo.processInfo.environment["SIMULATION_SEEDS"].flatMap { Int($0) } ?? 60

    @Test(arguments: 0..<seeds)
    func everyFrameThatWasTakenArrivesOnceOrIsDeclaredLost(seed: Int) throws {
        var simulation = try SessionSimulation(
            seed: UInt64(seed), ringBytes: seed.isMultiple(of: 3) ? 4_096 : 65_536,
            keys: Outbox.KeySpacing(
                frames: [5, 40, 600][seed % 3], framesWhileAway: 10,
                retentionMilliseconds: [20_000, 600_000][seed % 2]),
            slots: 12)
        try run(&simulation, moves: 600)
        try check(simulation, seed: seed)
    }

    @Test(arguments: 0..<seeds / 3)
    func severalAggregatorsEachGetEveryFrame(seed: Int) throws {
        var simulation = try SessionSimulation(
            seed: 1_000 + UInt64(seed), peers: 3, ringBytes: 32_768,
            keys: Outbox.KeySpacing(frames: 50, framesWhileAway: 10), slots: 12)
        try run(&simulation, moves: 600)
        try check(simulation, seed: seed)
    }

    /// As long as bytes are only lost, the aggregator is never sent what it cannot take.
    @Test(arguments: 0..<seeds / 3)
    func nothingIsRefusedWhereNothingIsCorrupted(seed: Int) throws {
        var simulation = try SessionSimulation(
            seed: 2_000 + UInt64(seed), ringBytes: 65_536,
            keys: Outbox.KeySpacing(frames: 100, framesWhileAway: 20), slots: 12)
        try run(&simulation, moves: 600, changingBytes: false)
        try check(simulation, seed: seed)
        #expect(
            !simulation.events.keys.contains { $0.hasPrefix("refused") },
            "seed \(seed): \(simulation.events)")
    }

    /// Works mostly and does damage now and then, in phases of calm and of trouble.
    private func run(
        _ simulation: inout SessionSimulation, moves: Int, changingBytes: Bool = true
    ) throws {
        var trouble = 2
        for _ in 0..<moves {
            if UInt8.random(in: 0..<50, using: &simulation.random) == 0 {
                trouble = [0, 2, 8].randomElement(using: &simulation.random) ?? 0
            }
            let index = Int.random(in: 0..<simulation.peers.count, using: &simulation.random)
            if UInt8.random(in: 0..<100, using: &simulation.random) < trouble / 2 {
                try simulation.restartAgent()
            }
            switch Int.random(in: 0..<20, using: &simulation.random) {
            case ..<trouble: simulation.damage(index, changingBytes: changingBytes)
            case ..<12: try simulation.takeFrame()
            default: simulation.now += UInt64.random(in: 0...200_000_000, using: &simulation.random)
            }
            for index in simulation.peers.indices {
                simulation.runAgent(
                    index, outputMax: Int.random(in: 0...8_192, using: &simulation.random))
                simulation.transfer(
                    index, upTo: Int.random(in: 0...8_192, using: &simulation.random))
            }
        }
        simulation.heal()
        // The present flows on after all that.
        for _ in 0..<5 {
            try simulation.takeFrame()
            for index in simulation.peers.indices {
                simulation.runAgent(index)
                simulation.transfer(index, upTo: .max)
            }
        }
        simulation.settle()
    }

    private func check(_ simulation: SessionSimulation, seed: Int) throws {
        let newest = simulation.outbox.ring.next - 1
        for (index, peer) in simulation.peers.enumerated() {
            let model = try #require(peer.cluster.node(named: "node"))
            let held = try SessionSimulation.frames(of: model)
            let delivery = simulation.outbox.deliveries[index]
            #expect(delivery.isSettled(simulation.outbox.ring), "seed \(seed): \(delivery.lastEnd)")
            let settled = model.read { $0.settled }
            var known = settled
            known.formUnion(simulation.outbox.ring.voids)
            #expect(
                known.missing(in: SequenceRange(peer.owedFrom, newest)).isEmpty,
                "seed \(seed): not settled, events \(simulation.events)")
            // Nothing twice, every value as it was taken.
            for (sequence, copies) in held {
                #expect(copies.count == 1, "seed \(seed): frame \(sequence) is there twice")
                #expect(
                    copies.first == simulation.node.taken[sequence],
                    "seed \(seed): frame \(sequence) has other values")
            }
            // What is not held was declared lost, and was lost.
            let gaps = model.read { $0.counters.gapFrames }
            #expect(settled.count == UInt64(held.count) + gaps, "seed \(seed)")
            if peer.losses == 0, !peer.hasRefused {
                #expect(
                    gaps <= delivery.counters.lostFrames + peer.lostBefore,
                    "seed \(seed): events \(simulation.events)")
            }
            if simulation.outbox.ring.oldest == 1 { #expect(gaps == 0, "seed \(seed)") }
        }
    }
}
