/// Bytes waiting to be parsed or sent: appended at the end, consumed at the front, contiguous.
///
/// Grows by doubling up to `byteCountMax`, which nothing can make it exceed. Holds no memory while
/// it is empty and `releaseWhenEmpty` was called.
public struct ByteQueue: ~Copyable {
    /// The limit. Appending beyond it fails and changes nothing.
    public let byteCountMax: Int
    private let pool: BlockPool?
    private var storage: UnsafeMutableRawPointer?
    private var capacity = 0
    private var start = 0
    private var end = 0

    /// - Parameter pool: where the first block comes from; nil uses the allocator.
    public init(byteCountMax: Int, pool: BlockPool? = nil) {
        precondition(byteCountMax > 0)
        self.byteCountMax = byteCountMax
        self.pool = pool
    }

    public var count: Int { end &- start }
    public var isEmpty: Bool { end == start }

    /// The waiting bytes. Valid until the next mutation.
    public var readable: UnsafeRawBufferPointer {
        guard let storage else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: storage + start, count: end &- start)
    }

    /// Drops bytes from the front. Our fault if there are fewer.
    public mutating func consume(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= count, "consume \(byteCount) of \(count)")
        start &+= byteCount
        if start == end {
            start = 0
            end = 0
        }
    }

    /// Makes room for `byteCount` more bytes and returns all free room, at least that; nil when
    /// that would pass the limit. Follow with `commit`. Amortised O(1) per byte.
    public mutating func room(forAtLeast byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        precondition(byteCount >= 0)
        guard byteCount <= byteCountMax &- count else { return nil }
        if capacity &- end < byteCount || storage == nil { makeRoom(byteCount) }
        guard let storage else { return nil }
        let free = min(capacity &- end, byteCountMax &- count)
        return UnsafeMutableRawBufferPointer(start: storage + end, count: free)
    }

    /// Declares the first bytes of the free room as written.
    public mutating func commit(_ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= capacity &- end)
        end &+= byteCount
    }

    /// Appends a copy; false, and nothing changed, when it would pass the limit.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let source = bytes.baseAddress else { return true }
        guard let free = room(forAtLeast: bytes.count), let target = free.baseAddress else {
            return false
        }
        target.copyMemory(from: source, byteCount: bytes.count)
        end &+= bytes.count
        return true
    }

    public mutating func append(_ byte: UInt8) -> Bool {
        guard let free = room(forAtLeast: 1), let target = free.baseAddress else { return false }
        target.storeBytes(of: byte, as: UInt8.self)
        end &+= 1
        return true
    }

    public mutating func append(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { append($0) }
    }

    public mutating func append(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { append(UnsafeRawBufferPointer($0)) }
    }

    /// Forgets the bytes, keeps the memory.
    public mutating func removeAll() {
        start = 0
        end = 0
    }

    /// Gives the memory back if nothing waits in it.
    public mutating func releaseWhenEmpty() {
        guard isEmpty, let storage else { return }
        free(storage, capacity)
        self.storage = nil
        capacity = 0
    }

    private mutating func makeRoom(_ byteCount: Int) {
        let waiting = count
        if let storage, capacity &- waiting >= byteCount, waiting <= capacity / 2 {
            storage.copyMemory(from: storage + start, byteCount: waiting)
            start = 0
            end = waiting
            return
        }
        let wanted = max(waiting &+ byteCount, min(capacity &* 2, byteCountMax))
        let target: UnsafeMutableRawPointer
        let targetCapacity: Int
        if let pool, wanted <= pool.blockByteCount {
            target = pool.take()
            targetCapacity = pool.blockByteCount
        } else {
            targetCapacity = max(wanted, 64)
            target = .allocate(byteCount: targetCapacity, alignment: 16)
        }
        if let storage {
            target.copyMemory(from: storage + start, byteCount: waiting)
            free(storage, capacity)
        }
        storage = target
        capacity = targetCapacity
        start = 0
        end = waiting
    }

    private func free(_ block: UnsafeMutableRawPointer, _ blockCapacity: Int) {
        // A larger block than the pool's came from the allocator, an equal one may go to either.
        if let pool, blockCapacity == pool.blockByteCount {
            pool.giveBack(block)
        } else {
            block.deallocate()
        }
    }

    deinit {
        if let storage { free(storage, capacity) }
    }
}
