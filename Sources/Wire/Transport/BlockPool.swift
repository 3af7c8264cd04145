/// Memory blocks of one size, kept for the next who needs one.
///
/// A connection needs a block only while bytes wait in it, so thousands of idle connections hold
/// none, and a busy loop hands the same few back and forth without the allocator. Belongs to one
/// thread.
public final class BlockPool {
    public let blockByteCount: Int
    /// More free blocks than this go back to the allocator.
    private let keptCountMax: Int
    private var free: [UnsafeMutableRawPointer] = []

    public init(blockByteCount: Int = 16_384, keptCountMax: Int = 64) {
        precondition(blockByteCount > 0 && keptCountMax >= 0)
        self.blockByteCount = blockByteCount
        self.keptCountMax = keptCountMax
        free.reserveCapacity(keptCountMax)
    }

    func take() -> UnsafeMutableRawPointer {
        free.popLast()
            ?? UnsafeMutableRawPointer.allocate(byteCount: blockByteCount, alignment: 16)
    }

    func giveBack(_ block: UnsafeMutableRawPointer) {
        if free.count < keptCountMax { free.append(block) } else { block.deallocate() }
    }

    deinit {
        for block in free { block.deallocate() }
    }
}
