import Wire

/// What a list of pods says of each beside figures, ready to be copied. Texts that are listed one after the other lie so in memory, as long as few of them have changed.
///
/// A copy is of a moment: texts that are added later are behind its own.
struct PodTexts: Sendable {
    /// Where a text is.
    struct Position: BitwiseCopyable {
        fileprivate let block: UInt32
        fileprivate let offset: UInt32
    }

    private final class Block: @unchecked Sendable {
        // Written behind what others read, by who holds the order's lock.
        let memory: UnsafeMutableRawBufferPointer

        init(byteCount: Int) {
            memory = .allocate(byteCount: byteCount, alignment: PodText.alignment)
        }

        deinit { memory.deallocate() }
    }

    private static let blockByteCount = 1 << 20

    private var blocks: [Block] = []
    private var endOfLast = 0
    /// All that was added.
    private(set) var byteCount = 0

    mutating func append(_ pod: JoinedPod) -> Position {
        let parts = PodText.Parts(pod)
        return append(byteCount: parts.recordByteCount) { parts.write(to: $0) }
    }

    mutating func append(_ text: PodText) -> Position {
        append(byteCount: text.recordByteCount) { $0.copyMemory(from: text.record) }
    }

    private mutating func append(
        byteCount count: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void
    ) -> Position {
        if blocks.isEmpty || endOfLast + count > blocks[blocks.count - 1].memory.count {
            blocks.append(Block(byteCount: max(Self.blockByteCount, count)))
            endOfLast = 0
        }
        let block = blocks[blocks.count - 1]
        write(UnsafeMutableRawBufferPointer(rebasing: block.memory[endOfLast..<endOfLast + count]))
        let position = Position(block: UInt32(blocks.count - 1), offset: UInt32(endOfLast))
        endOfLast += count
        byteCount += count
        return position
    }

    /// Shows the texts by their positions; they are valid during the call.
    func withTexts<Result>(_ body: ((Position) -> PodText) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: UnsafeRawPointer.self, capacity: blocks.count) { bases in
            for (index, block) in blocks.enumerated() {
                guard let base = block.memory.baseAddress else { continue }
                bases.initializeElement(at: index, to: UnsafeRawPointer(base))
            }
            return withExtendedLifetime(blocks) {
                body { PodText(base: bases[Int($0.block)] + Int($0.offset)) }
            }
        }
    }
}
