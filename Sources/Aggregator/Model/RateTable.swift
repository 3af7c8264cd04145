import Wire

/// The newest readings of the counters of a chain's subjects, and the rates there: one flat array,
/// because every frame goes through all of it.
///
/// A subject's part: when it was read, the counters, the rates (as bit patterns), in the order of
/// its `Rates.Plan`; then the milliseconds that the rates are over, and the CPU use in billionths of
/// a core (-1 for none), which today's resource metrics want finer than `cpu/usage_rate`. A record keeps the table alive that has its newest readings, so that the first
/// frame of a new chain has something to compare with.
final class RateTable {
    private(set) var base: UnsafeMutablePointer<Int64>
    private var capacity = 0
    private var end = 0
    /// Offsets of free parts, by width.
    private var free: [Int: [Int]] = [:]

    /// Stands for the read time before the first reading.
    static let never = Int64.min

    init() { base = .allocate(capacity: 0) }

    deinit { base.deallocate() }

    static func width(counters: Int) -> Int { 3 + 2 * counters }

    /// Room for a subject without any reading yet.
    func take(counters: Int) -> Int {
        let width = Self.width(counters: counters)
        let offset = free[width]?.popLast() ?? grow(by: width)
        clear(offset, counters: counters)
        return offset
    }

    func giveBack(_ offset: Int, counters: Int) {
        free[Self.width(counters: counters), default: []].append(offset)
    }

    /// When a part was read, milliseconds since the epoch; `nil` before the first reading.
    func time(at offset: Int) -> Int64? {
        base[offset] == Self.never ? nil : base[offset]
    }

    /// Makes a part as before the first reading.
    func clear(_ offset: Int, counters: Int) {
        let width = Self.width(counters: counters)
        base[offset] = Self.never
        for index in 1..<width { base[offset + index] = 0 }
        for index in 1 + counters..<1 + 2 * counters { base[offset + index] = Self.noRate }
        base[offset + width - 1] = -1
    }

    /// Takes over what another table knew of the same subject.
    func copy(from other: RateTable, _ otherOffset: Int, to offset: Int, counters: Int) {
        guard other !== self || otherOffset != offset else { return }
        for index in 0..<Self.width(counters: counters) {
            base[offset + index] = other.base[otherOffset + index]
        }
    }

    static let noRate = Int64(bitPattern: Double.nan.bitPattern)

    private func grow(by width: Int) -> Int {
        if end + width > capacity {
            let bigger = max(end + width, capacity + capacity / 8)
            let memory = UnsafeMutablePointer<Int64>.allocate(capacity: bigger)
            memory.update(from: base, count: end)
            base.deallocate()
            base = memory
            capacity = bigger
        }
        defer { end += width }
        return end
    }
}
