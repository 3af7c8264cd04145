import Wire

/// What a list of pods says of each beside figures, as JSON that is ready to be copied. Texts that
/// are listed one after the other lie so in memory, as long as few of them have changed.
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
        var parts = PodText.Parts()
        PodText.write(pod, into: &parts)
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

/// The text of a pod in the memory of `PodTexts`: byte counts of its parts, and the parts one after
/// the other.
struct PodText {
    fileprivate let base: UnsafeRawPointer

    static let alignment = 8
    private static let headerByteCount = 16

    var containerCount: Int { count(0) }
    /// From the object's start to where `creationTimestamp` is to be.
    var head: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: texts, count: headByteCount)
    }
    /// From there to where `timestamp` is to be: labels.
    var labels: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: texts + headByteCount, count: labelsByteCount)
    }
    /// Of all parts together.
    var byteCount: Int { count(3) }

    /// Shows each container's part: from its start to where its CPU is to be.
    @inline(__always)
    func forEachContainer(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
        var text = texts + headByteCount + labelsByteCount
        for index in 0..<containerCount {
            let byteCount = count(4 + index)
            body(index, UnsafeRawBufferPointer(start: text, count: byteCount))
            text += byteCount
        }
    }

    private var headByteCount: Int { count(1) }
    private var labelsByteCount: Int { count(2) }
    private var texts: UnsafeRawPointer { base + Self.headerByteCount + 4 * containerCount }

    private func count(_ index: Int) -> Int {
        Int(truncatingIfNeeded: base.load(fromByteOffset: 4 * index, as: UInt32.self))
    }

    fileprivate var recordByteCount: Int {
        Self.recordByteCount(containers: containerCount, texts: byteCount)
    }

    fileprivate var record: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: recordByteCount)
    }

    private static func recordByteCount(containers: Int, texts: Int) -> Int {
        (headerByteCount + 4 * containers + texts + alignment - 1) & ~(alignment - 1)
    }

    /// A text that is being made.
    fileprivate struct Parts {
        var text = JSONWriter()
        var headEnd = 0
        var labelsEnd = 0
        var containerEnds: [Int] = []

        var recordByteCount: Int {
            PodText.recordByteCount(containers: containerEnds.count, texts: text.bytes.count)
        }

        func write(to memory: UnsafeMutableRawBufferPointer) {
            var counts = [containerEnds.count, headEnd, labelsEnd - headEnd, text.bytes.count]
            for (start, end) in zip([labelsEnd] + containerEnds, containerEnds) {
                counts.append(end - start)
            }
            for (index, count) in counts.enumerated() {
                memory.storeBytes(of: UInt32(count), toByteOffset: 4 * index, as: UInt32.self)
            }
            let texts = memory[(4 * counts.count)...]
            UnsafeMutableRawBufferPointer(rebasing: texts).copyBytes(from: text.bytes)
        }
    }

    fileprivate static func write(_ pod: JoinedPod, into parts: inout Parts) {
        parts.text.bytes.append(contentsOf: #"{"metadata":{"name":"#.utf8)
        parts.text.string(pod.name)
        parts.text.bytes.append(contentsOf: #","namespace":"#.utf8)
        parts.text.string(pod.namespace)
        parts.text.bytes.append(contentsOf: #","creationTimestamp":""#.utf8)
        parts.headEnd = parts.text.bytes.count
        parts.text.bytes.append(UInt8(ascii: "\""))
        if let labels = pod.metadata?.labels.labels, !labels.isEmpty {
            parts.text.bytes.append(contentsOf: #","labels":{"#.utf8)
            for (index, label) in labels.enumerated() {
                if index > 0 { parts.text.bytes.append(UInt8(ascii: ",")) }
                parts.text.string(label.key)
                parts.text.bytes.append(UInt8(ascii: ":"))
                parts.text.string(label.value)
            }
            parts.text.bytes.append(UInt8(ascii: "}"))
        }
        parts.text.bytes.append(contentsOf: #"},"timestamp":""#.utf8)
        parts.labelsEnd = parts.text.bytes.count
        for container in pod.listedContainers {
            parts.text.bytes.append(contentsOf: #"{"name":"#.utf8)
            parts.text.string(container.name)
            parts.text.bytes.append(contentsOf: #","usage":{"cpu":""#.utf8)
            parts.containerEnds.append(parts.text.bytes.count)
        }
    }
}
