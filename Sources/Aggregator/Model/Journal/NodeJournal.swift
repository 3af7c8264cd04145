import Wire

/// One node's part of the log. Used under the node's lock and the gate's stripe, in this order: the
/// stripe is taken first.
final class NodeJournal {
    let writer: LogWriter
    /// Held around all that belongs together.
    let stripe: Lock
    private let name: String
    private let number: UInt32
    /// The generation that the node's state was written in; 0 before the first.
    private var generation: UInt64 = 0
    /// Where the node's last record ends.
    private(set) var position: UInt64 = 0

    init(writer: LogWriter, name: String) {
        self.writer = writer
        self.name = name
        number = writer.number(of: name)
        stripe = writer.gate.stripe(number)
    }

    /// What is appended next begins with the whole state.
    func beginAnew() { generation = 0 }

    /// The state has to be written before the next record.
    var isBehind: Bool { generation != writer.generation }

    /// Writes the state. Call it before the state changes.
    func prepare(_ state: NodeModel.State, newestStep: Int64) {
        generation = writer.generation
        // Encoded before the writer's lock is taken: it takes as long as some frames.
        var records: [UInt8] = []
        let count = NodeSnapshot.encode(state, newestStep, node: number, into: &records)
        position = writer.append(recordCount: count + 1, isState: true) { bytes in
            LogRecord.append(.node, node: number, to: &bytes) {
                $0.append(contentsOf: name.utf8)
            }
            bytes.append(contentsOf: records)
        }
    }

    /// What a `chain` record says beside the number.
    static let ended: UInt8 = 0
    static let begun: UInt8 = 1

    /// A chain starts from nothing.
    func begin(_ chain: ChainID) { append(.chain, Self.event(chain, Self.begun)) }

    /// No frame of the chain comes any more.
    func end(_ chain: ChainID) { append(.chain, Self.event(chain, Self.ended)) }

    private static func event(_ chain: ChainID, _ event: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        Varint.append(chain, to: &bytes)
        bytes.append(event)
        return bytes
    }

    func append(_ entry: FrameEntry, _ changes: [NodeModel.PendingChanges]) {
        position = writer.append(recordCount: changes.count + 1) { bytes in
            for change in changes {
                change.payload.withUnsafeBytes {
                    LogRecord.append(.subjects, node: number, $0, to: &bytes)
                }
            }
            LogRecord.append(.frame, node: number, to: &bytes) { entry.encode(into: &$0) }
        }
    }

    func append(_ gap: SequenceRange) {
        append(.gap, gap.encode())
    }

    func append(_ facts: MachineFacts) {
        append(.facts, facts.encode())
    }

    private func append(_ kind: LogRecord.Kind, _ payload: [UInt8]) {
        position = writer.append(recordCount: 1) { bytes in
            payload.withUnsafeBytes { LogRecord.append(kind, node: number, $0, to: &bytes) }
        }
    }
}
