import Wire

@testable import Aggregator
@testable import NodeAgent

/// What an input of the session's fuzzer does: an agent and an aggregator take turns while somebody
/// between them, who may know the protocol, does what the input says. Afterwards the two are left alone,
/// and must come to terms.
///
/// An input is a seed (one byte), then operations: a byte, whose low four bits say which, and what
/// belongs to it. Lengths are one byte.
///
/// | | |
/// |---|---|
/// | 0, 1 | the agent takes a frame |
/// | 2, 3 | the agent does what it wants to |
/// | 4, 5 | bytes pass both ways; the high bits say how many |
/// | 6 | bytes to the aggregator: length, bytes |
/// | 7 | a record to the aggregator: type and flags, length, payload |
/// | 8 | a record to the agent: the same |
/// | 9 | the connection ends |
/// | 10 | a bit of what is on its way flips: which way, where (a byte each) |
/// | 11 | time passes: a byte, 100 ms each |
/// | 12 | the aggregator loses everything |
/// | 13 | a part of what is on its way is doubled, or goes: which, where, how much |
/// | 14 | another connection says a hello: length, payload |
/// | 15 | the aggregator's answers are given to the agent a byte at a time |
enum SessionFuzzInput {
    /// What came of it.
    struct Tally: Equatable {
        var operations = 0
        var frames = 0
        var connections = 0
        var refusals = 0
        var held = 0
        /// Whether somebody spoke to the aggregator in the agent's name.
        var isForged = false
    }

    /// - Precondition: holds whatever the input, or it traps: that is what the fuzzer looks for.
    static func run(_ bytes: UnsafeRawBufferPointer) -> Tally {
        do {
            var player = try Player(ByteReader(bytes))
            return try player.play()
        } catch {
            preconditionFailure("the agent's own input was refused: \(error)")
        }
    }

    private struct Player {
        private var reader: ByteReader
        private var simulation: SessionSimulation
        private var tally = Tally()

        /// Operations beyond which an input is only longer.
        private static let operationMax = 300

        init(_ start: ByteReader) throws {
            reader = start
            let seed = Self.byte(&reader) ?? 0
            simulation = try SessionSimulation(
                seed: UInt64(seed), ringBytes: 16_384,
                keys: Outbox.KeySpacing(
                    frames: 20, framesWhileAway: 6, retentionMilliseconds: 30_000),
                slots: 6, isSpooled: false)
        }

        mutating func play() throws -> Tally {
            while tally.operations < Self.operationMax, let operation = Self.byte(&reader) {
                tally.operations += 1
                try perform(operation & 0x0F, Int(operation >> 4))
            }
            try conclude()
            return tally
        }

        private mutating func perform(_ operation: UInt8, _ extent: Int) throws {
            switch operation {
            case 0, 1: try takeFrame()
            case 2, 3: simulation.runAgent(0, outputMax: 256 << extent)
            case 4, 5: simulation.transfer(0, upTo: 1 << extent)
            case 6:
                tally.isForged = true
                simulation.peers[0].toAggregator += taken()
            case 7:
                tally.isForged = true
                if let record = record() { record.encode(into: &simulation.peers[0].toAggregator) }
            case 8: if let record = record() { record.encode(into: &simulation.peers[0].toAgent) }
            case 9: simulation.hangUp(0, "cut")
            case 10: flip()
            case 11: simulation.now += UInt64(Self.byte(&reader) ?? 0) * 100_000_000
            case 12: simulation.loseEverything(0)
            case 13: splice()
            case 14:
                tally.isForged = true
                sayHello(taken())
            default: simulation.transfer(0, upTo: 1)
            }
        }

        /// Whoever says hello for the node replaces who spoke for it before.
        private func sayHello(_ payload: [UInt8]) {
            var session = IngestSession(
                cluster: simulation.peers[0].cluster, authentication: AgentAuthentication(),
                counters: IngestCounters())
            var (bytes, output) = (Hello.preface, [UInt8]())
            Record(type: .hello, payload: payload).encode(into: &bytes)
            let consumed = bytes.withUnsafeBytes {
                session.receive($0, now: simulation.step, output: &output)
            }
            precondition(consumed == bytes.count && !output.isEmpty, "a hello without an answer")
        }

        private mutating func takeFrame() throws {
            tally.frames += 1
            try simulation.takeFrame()
        }

        private mutating func record() -> Record? {
            guard let head = Self.byte(&reader),
                let type = RecordType(rawValue: head & 0x0F)
            else { return nil }
            return Record(type: type, flags: RecordFlags(rawValue: head & 0xF0), payload: taken())
        }

        /// A length and so many bytes, or what is left.
        private mutating func taken() -> [UInt8] {
            let length = Int(Self.byte(&reader) ?? 0)
            return (0..<length).compactMap { _ in Self.byte(&reader) }
        }

        private mutating func flip() {
            let isOutward = (Self.byte(&reader) ?? 0) & 1 == 0
            let place = Int(Self.byte(&reader) ?? 0)
            if isOutward {
                Self.flip(&simulation.peers[0].toAggregator, at: place)
            } else {
                Self.flip(&simulation.peers[0].toAgent, at: place)
            }
        }

        private static func flip(_ bytes: inout [UInt8], at place: Int) {
            guard !bytes.isEmpty else { return }
            bytes[place / 8 * 7 % bytes.count] ^= 1 << UInt8(place % 8)
        }

        private mutating func splice() {
            let isDoubled = (Self.byte(&reader) ?? 0) & 1 == 0
            let bytes = simulation.peers[0].toAggregator
            let first = min(Int(Self.byte(&reader) ?? 0) * 4, bytes.count)
            let part = bytes[first..<min(first + Int(Self.byte(&reader) ?? 0), bytes.count)]
            if isDoubled {
                simulation.peers[0].toAggregator.insert(contentsOf: part, at: part.endIndex)
            } else {
                simulation.peers[0].toAggregator.removeSubrange(part.indices)
            }
        }

        /// Whatever happened: the agent delivers, and what the aggregator holds is what was taken.
        private mutating func conclude() throws {
            try takeFrame()
            simulation.heal()
            try takeFrame()
            simulation.settle()
            let (outbox, peer) = (simulation.outbox, simulation.peers[0])
            let delivery = outbox.deliveries[0]
            precondition(delivery.isStreaming, "not connected: \(delivery.lastEnd)")
            precondition(delivery.isSettled(outbox.ring), "not settled: \(delivery.lastEnd)")
            guard let model = peer.cluster.node(named: "node") else {
                preconditionFailure("the node is not known")
            }
            let settled = model.read { $0.settled }
            let owed = SequenceRange(outbox.ring.oldest, outbox.ring.next - 1)
            precondition(settled.missing(in: owed).isEmpty, "settled is \(settled.ranges)")
            tally.connections = simulation.events["connect"] ?? 0
            tally.refusals = simulation.events.reduce(0) {
                $0 + ($1.key.hasPrefix("refused") ? $1.value : 0)
            }
            guard !tally.isForged else { return }
            let held = try SessionSimulation.frames(of: model)
            tally.held = held.count
            for (sequence, copies) in held {
                precondition(copies.count == 1, "frame \(sequence) is there twice")
                precondition(
                    copies.first == simulation.node.taken[sequence], "frame \(sequence) is another")
            }
            let gaps = model.read { $0.counters.gapFrames }
            precondition(settled.count == UInt64(held.count) + gaps, "settled, but not there")
        }

        private static func byte(_ reader: inout ByteReader) -> UInt8? {
            do throws(WireError) {
                return try reader.byte()
            } catch {
                return nil
            }
        }
    }
}
