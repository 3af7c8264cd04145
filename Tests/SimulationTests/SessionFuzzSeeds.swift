import Wire

@testable import NodeAgent

/// Well-formed inputs, to begin fuzzing with.
enum SessionFuzzSeeds {
    /// - Returns: inputs of both kinds: a link that does everything wrong, and somebody who speaks the
    ///   protocol.
    static func make(count: Int) -> [[UInt8]] {
        var random = SplitMix64(seed: 77)
        return (0..<count).map { number in
            var input: [UInt8] = [UInt8(truncatingIfNeeded: number)]
            for _ in 0..<Int.random(in: 10...80, using: &random) {
                append(to: &input, forging: number % 2 == 1, &random)
            }
            return input
        }
    }

    private static func append(
        to input: inout [UInt8], forging: Bool, _ random: inout SplitMix64
    ) {
        func byte() -> UInt8 { .random(in: .min ... .max, using: &random) }
        switch UInt8.random(in: 0..<24, using: &random) {
        case 0..<6: input += [0]
        case 6..<11: input += [byte() & 0xF0 | 2]
        case 11..<16: input += [byte() & 0x7F & 0xF0 | 4, 0xF4]
        case 16: input += [9]
        case 17: input += [10, byte(), byte()]
        case 18: input += [11, byte()]
        case 19: input += [13, byte(), byte() % 8, byte() % 64]
        case 20 where UInt8.random(in: 0..<6, using: &random) == 0: input += [12]
        case 21 where forging:
            let record = aggregatorRecord(&random)
            input += [8, record.type.rawValue | record.flags.rawValue]
            input += [UInt8(record.payload.count)] + record.payload
        case 22 where forging:
            let record = agentRecord(&random)
            input += [7, record.type.rawValue | record.flags.rawValue]
            input += [UInt8(record.payload.count)] + record.payload
        case 23 where forging:
            var hello = Hello(nodeName: "node", runID: (0..<16).map { _ in byte() })
            hello.oldestSequence = 1
            hello.newestSequence = 9
            let payload = hello.encode()
            input += [14, UInt8(payload.count)] + payload
        default: input += [15]
        }
    }

    private static func aggregatorRecord(_ random: inout SplitMix64) -> Record {
        let first = UInt64.random(in: 1...20, using: &random)
        switch UInt8.random(in: 0..<4, using: &random) {
        case 0:
            var welcome = Welcome()
            welcome.settled.insert(SequenceRange(first, first + 9))
            welcome.recordBytes = UInt64.random(in: 0...2_000, using: &random)
            return Record(type: .welcome, payload: welcome.encode())
        case 1: return Record(type: .reject, payload: Farewell(.overloaded, "no").encode())
        case 2: return Record(type: .goodbye, payload: Farewell(.shutdown, "bye").encode())
        default:
            return Record(type: .ack, payload: SequenceRange(first, first + first % 3).encode())
        }
    }

    private static func agentRecord(_ random: inout SplitMix64) -> Record {
        let first = UInt64.random(in: 1...20, using: &random)
        switch UInt8.random(in: 0..<5, using: &random) {
        case 0: return Record(type: .gap, payload: SequenceRange(first, first + 3).encode())
        case 1: return Record(type: .goodbye, payload: Farewell(.shutdown, "bye").encode())
        case 2: return Record(type: .facts, payload: MachineFacts().encode())
        case 3:
            var bytes: [UInt8] = []
            ChainSelection(id: first, begins: first % 2 == 0).encode(into: &bytes)
            return Record(
                type: .chain, flags: first % 2 == 0 ? .begins : [],
                payload: Array(bytes.dropFirst(6)))
        default:
            var payload: [UInt8] = []
            let schema = Schema([SchemaField(metric: 1, granularity: 1)])
            DictionaryCodec.encode(.schema(SchemaNumber(first), schema), into: &payload)
            return Record(type: .subjects, payload: payload)
        }
    }
}
