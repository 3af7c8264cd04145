import Wire

/// Stands for the namespace of pods whose name is not known: no namespace can be called that.
let unknownNamespace = "_unknown"

/// What happens at each cycle of one node: rates move on, and the pods' figures are summed by
/// namespace for the roll-ups. Used under the node's lock; allocates nothing while no subject comes
/// or goes.
///
/// As in Heapster, a pod's own figure counts where it has one, else the sum of its containers.
struct NodeCycle {
    private let rollUps: RollUps
    private let source: any PodFactsSource
    /// The cycles that this node was counted in, so that none is counted twice.
    private var counted: CountedCycles
    /// The chain that `pods` and `namespaces` are of.
    private var chainNumber = -1
    /// By the chain's pods: index into `namespaces`, -1 while the pod's is not known.
    private var pods: [Int32] = []
    /// By the chain's pods: what their specifications add, as of when they were first known.
    private var facts: [PodAmounts] = []
    /// Those of this node's pods; the first stands for the unknown one.
    private var namespaces: [RollUpSeries] = []
    private var namespaceNumbers: [String: Int32] = [:]
    /// As of which the pods that are not known were asked for.
    private var askedGeneration: UInt64?
    /// In the order of their cycles.
    private var seams: [OutageSeam] = []

    init(rollUps: RollUps, facts source: any PodFactsSource) {
        self.rollUps = rollUps
        self.source = source
        counted = CountedCycles(count: rollUps.cycleCount)
    }

    /// Takes a frame that closes a cycle.
    ///
    /// - Parameters:
    ///   - others: the node's open chains.
    ///   - isSummed: whether it counts for the roll-ups; rates move on in any case.
    ///   - isPresent: it may be the newest of all.
    /// - Returns: the cycle after it, if that was closed before and only now has its true rates.
    @discardableResult
    mutating func close(
        _ cycle: Int64, _ header: FrameHeader, _ chain: OpenChain, among others: [OpenChain],
        resolution: Int64, cores: Int64, isSummed: Bool, isPresent: Bool = true
    ) -> Int64? {
        // A reading of the next cycle is a step later at least.
        chain.seed(before: header.stepMilliseconds &+ resolution &- 1, from: others)
        if chain.update() || chain.history.number != chainNumber { follow(chain) }
        let podCount = max(1, chain.pods.count)
        return withUnsafeTemporaryAllocation(of: PodSums.self, capacity: podCount) { sums in
            sums.initialize(repeating: PodSums())
            advance(header, chain, resolution: resolution, cores: cores, sums)
            guard isSummed, counted.insert(cycle / resolution) else { return nil }
            lookUpNamespaces(chain)
            add(sums, cycle: cycle, isPresent: isPresent)
            return mend(cycle, header, chain, resolution: resolution)
        }
    }

    /// Frames that come after later ones change the rates of the first of those; and the first after a
    /// gap is remembered, because frames may come that fill it.
    private mutating func mend(
        _ cycle: Int64, _ header: FrameHeader, _ chain: OpenChain, resolution: Int64
    ) -> Int64? {
        var mended: Int64?
        if let index = seams.firstIndex(where: { $0.cycle > cycle }) {
            seams[index].mend(with: chain, rollUps)
            if seams[index].cycle == cycle &+ resolution {
                mended = cycle &+ resolution
                seams.remove(at: index)
            }
        }
        seams.removeAll { $0.cycle < cycle &- OutageSeam.patience }
        // Before the first frame of a run there is none.
        if header.sequence > 1, !counted.contains(cycle / resolution - 1) {
            let namespaceNumbers = pods.map { max(0, $0) }
            let seam = OutageSeam(cycle, chain, namespaceNumbers, namespaces)
            seams.insert(seam, at: seams.firstIndex { $0.cycle > cycle } ?? seams.count)
            if seams.count > OutageSeam.countMax { seams.removeFirst() }
        }
        return mended
    }

    /// Gives up what is only kept to be mended.
    mutating func forgetSeams() { seams = [] }

    /// Whether a frame closed this cycle and was counted for the roll-ups.
    func hasClosed(_ cycle: Int64, resolution: Int64) -> Bool {
        counted.contains(cycle / resolution)
    }

    /// Takes a frame that closed a cycle before a restart: the roll-ups have it.
    mutating func replay(
        _ cycle: Int64, _ header: FrameHeader, _ chain: OpenChain, among others: [OpenChain],
        resolution: Int64, cores: Int64, isSummed: Bool
    ) {
        close(
            cycle, header, chain, among: others, resolution: resolution, cores: cores,
            isSummed: false)
        if isSummed { _ = counted.insert(cycle / resolution) }
    }

    /// The cycles that the roll-ups have of this node, by their numbers.
    var countedCycles: SequenceSet { counted.numbers }

    mutating func restore(counted numbers: SequenceSet) {
        counted = CountedCycles(count: rollUps.cycleCount)
        let oldest = Int64(rollUps.cycleCount)
        for range in numbers.ranges {
            // No more than are remembered.
            let last = Int64(clamping: range.last)
            for cycle in max(Int64(clamping: range.first), last &- oldest)...last {
                _ = counted.insert(cycle)
            }
        }
    }

    /// A pod's figures of a cycle, by the index in `RollUps.metrics`.
    struct PodSums {
        /// The pod's own.
        var own = RollUpRow()
        /// Summed over its containers and interfaces.
        var parts = RollUpRow()
    }

    private func advance(
        _ header: FrameHeader, _ chain: OpenChain, resolution: Int64, cores: Int64,
        _ sums: UnsafeMutableBufferPointer<PodSums>
    ) {
        let readTime = header.stepMilliseconds &+ header.readDelayMilliseconds
        let readings = chain.readings.base
        let (plans, lives) = (chain.plans, chain.rows)
        chain.decoder.withRows { frame in
            plans.withUnsafeBufferPointer { plans in
                for live in lives {
                    guard let row = frame.row(of: live.slot) else { continue }
                    let part = readings + Int(live.offset)
                    plans[Int(live.plan)].advance(
                        part, row: row, readTime: readTime, start: live.start,
                        resolution: resolution, cores: cores)
                    guard live.pod >= 0 else { continue }
                    if live.isPod {
                        plans[Int(live.plan)].add(part, row, to: &sums[Int(live.pod)].own)
                    } else {
                        plans[Int(live.plan)].add(part, row, to: &sums[Int(live.pod)].parts)
                    }
                }
            }
        }
    }

    private mutating func follow(_ chain: OpenChain) {
        chainNumber = chain.history.number
        pods = [Int32](repeating: -1, count: chain.pods.count)
        facts = [PodAmounts](repeating: PodAmounts(), count: chain.pods.count)
        namespaces = [rollUps.series(of: unknownNamespace)]
        namespaceNumbers = [:]
        askedGeneration = nil
    }

    private mutating func lookUpNamespaces(_ chain: OpenChain) {
        // Read before asking: what is told meanwhile is asked for again.
        let generation = source.factsGeneration
        guard generation == nil || generation != askedGeneration else { return }
        askedGeneration = generation
        for index in pods.indices where pods[index] < 0 {
            guard let found = source.facts(uid: chain.pods[index].subject.podUID) else { continue }
            let name = found.namespace
            facts[index] = PodAmounts(found)
            let number = namespaceNumbers[name] ?? Int32(namespaces.count)
            if Int(number) == namespaces.count {
                namespaces.append(rollUps.series(of: name))
                namespaceNumbers[name] = number
            }
            pods[index] = number
        }
    }

    private func add(
        _ sums: UnsafeMutableBufferPointer<PodSums>, cycle: Int64, isPresent: Bool
    ) {
        withUnsafeTemporaryAllocation(of: RollUpRow.self, capacity: namespaces.count) { rows in
            rows.initialize(repeating: RollUpRow())
            for index in pods.indices {
                let namespace = max(0, Int(pods[index]))
                rows[namespace].add(sums[index].own, else: sums[index].parts)
                facts[index].add(to: &rows[namespace])
            }
            rollUps.add(
                cycle: cycle, namespaces, UnsafeBufferPointer(rows), isPresent: isPresent)
        }
    }
}

/// What a pod's specification adds to the roll-ups: the last of `RollUps.metrics`.
struct PodAmounts {
    private var values = InlineArray<4, Double>(repeating: 0)
    private var isKnown = false

    /// Of a pod that nobody knows: adds nothing.
    init() {}

    init(_ facts: PodFacts) {
        values = [
            Double(facts.cpuRequestMillicores), Double(facts.cpuLimitMillicores),
            Double(facts.memoryRequestBytes), Double(facts.memoryLimitBytes),
        ]
        isKnown = true
    }

    func add(to row: inout RollUpRow) {
        guard isKnown else { return }
        for index in 0..<values.count {
            row.add(values[index], at: RollUps.firstOfFacts + index)
        }
    }
}

/// One value for each of `RollUps.metrics`, or none.
struct RollUpRow {
    /// Bit by bit: whether there is a value.
    private(set) var present: UInt32 = 0
    private var values = InlineArray<16, Double>(repeating: 0)

    static let width = 16

    subscript(index: Int) -> Double { values[index] }

    /// Of a metric of `RollUps.metrics` by its index; `nil` where there is none.
    func value(at index: Int) -> Double? {
        present & 1 &<< UInt32(truncatingIfNeeded: index) != 0 ? values[index] : nil
    }

    @inline(__always)
    mutating func add(_ value: Double, at index: Int) {
        present |= 1 &<< UInt32(truncatingIfNeeded: index)
        values[index] += value
    }

    /// Adds a row, and the other one's values where it has none.
    @inline(__always)
    mutating func add(_ row: RollUpRow, else other: RollUpRow) {
        present |= row.present | other.present
        for index in 0..<Self.width {
            let bit: UInt32 = 1 &<< UInt32(truncatingIfNeeded: index)
            values[index] += row.present & bit != 0 ? row.values[index] : other.values[index]
        }
    }
}

/// Which of the last cycles there were, by their numbers.
struct CountedCycles {
    private var words: [UInt64]
    private var newest = Int64.min
    private let count: Int64

    /// - Parameter count: how many cycles back are remembered.
    init(count: Int) {
        self.count = Int64(count)
        words = [UInt64](repeating: 0, count: (count + 63) / 64)
    }

    /// Returns whether the cycle is new. One that is older than what is remembered is not.
    mutating func insert(_ cycle: Int64) -> Bool {
        if newest == .min || cycle >= newest &+ count {
            for index in words.indices { words[index] = 0 }
            newest = cycle
        }
        guard cycle > newest &- count else { return false }
        while newest < cycle {
            newest &+= 1
            let (word, bit) = place(newest)
            words[word] &= ~bit
        }
        let (word, bit) = place(cycle)
        guard words[word] & bit == 0 else { return false }
        words[word] |= bit
        return true
    }

    func contains(_ cycle: Int64) -> Bool {
        guard newest != .min, cycle <= newest, cycle > newest &- count else { return false }
        let (word, bit) = place(cycle)
        return words[word] & bit != 0
    }

    /// All of them. Cycles before 1970 are left out: they are of a clock that is wrong.
    var numbers: SequenceSet {
        var numbers = SequenceSet()
        guard newest != .min else { return numbers }
        for cycle in max(0, newest &- count &+ 1)...max(0, newest) where contains(cycle) {
            numbers.insert(SequenceRange(UInt64(cycle), UInt64(cycle)))
        }
        return numbers
    }

    private func place(_ cycle: Int64) -> (Int, UInt64) {
        let index = Int(((cycle % count) + count) % count)
        return (index / 64, 1 &<< UInt64(index % 64))
    }
}
