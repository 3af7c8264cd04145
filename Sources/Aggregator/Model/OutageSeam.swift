import Wire

/// The first cycle that a node closed after a gap, as it was added to the roll-ups. Its rates are over the
/// whole gap; when the frames of the gap come, the present having gone first, they are worked out anew
/// and the roll-ups get the difference.
///
/// About 16 kB for 60 containers, and only while frames may come that fill the gap. After an outage each
/// node has one, so it holds nothing that can be worked out again.
struct OutageSeam {
    let cycle: Int64

    /// How much newer a cycle makes it pointless to wait on, milliseconds: what an agent keeps.
    static let patience: Int64 = 600_000
    /// Of one node: one for each chain that can be open.
    static let countMax = 8

    private let namespaces: [RollUpSeries]
    /// In the order of their records' addresses.
    private var subjects: [Seamed] = []
    /// By pod, the index into `namespaces`.
    private let pods: [Int32]
    /// Parts of a `RateTable`.
    private var readings: [Int64] = []

    private struct Seamed {
        let record: SubjectRecord
        let pod: Int32
        let isPod: Bool
        /// Of its part of `readings`.
        let offset: Int32
        /// When that was read which the rates are from, milliseconds since the epoch.
        var from: Int64
    }

    /// Rates alone, by the index in `RollUps.metrics`.
    private struct PodRates {
        var own = RollUpRow()
        var parts = RollUpRow()

        var figures: RollUpRow {
            var row = RollUpRow()
            row.add(own, else: parts)
            return row
        }
    }

    /// - Parameters:
    ///   - chain: as of the cycle's frame.
    ///   - numbers: by the chain's pods, the index into `namespaces`.
    init(
        _ cycle: Int64, _ chain: OpenChain, _ numbers: [Int32], _ namespaces: [RollUpSeries]
    ) {
        self.cycle = cycle
        self.namespaces = namespaces
        pods = numbers
        let lives = chain.rows.filter { $0.pod >= 0 }
        subjects.reserveCapacity(lives.count)
        readings.reserveCapacity(
            lives.reduce(0) { $0 + 1 + 2 * chain.plans[Int($1.plan)].counters.count })
        for live in lives {
            guard let record = chain.record(in: live.slot) else { continue }
            let counters = chain.plans[Int(live.plan)].counters.count
            let part = chain.readings.base + Int(live.offset)
            let window = part[1 + 2 * counters]
            subjects.append(
                Seamed(
                    record: record, pod: live.pod, isPod: live.isPod,
                    offset: Int32(readings.count), from: window > 0 ? part[0] &- window : .min))
            readings += UnsafeBufferPointer(start: part, count: 1 + 2 * counters)
        }
        subjects.sort { ObjectIdentifier($0.record) < ObjectIdentifier($1.record) }
    }

    private func index(of record: SubjectRecord) -> Int? {
        let identity = ObjectIdentifier(record)
        var (low, high) = (0, subjects.count)
        while low < high {
            let middle = (low + high) / 2
            if ObjectIdentifier(subjects[middle].record) < identity {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < subjects.count && subjects[low].record === record ? low : nil
    }

    /// Takes the readings of a frame in the gap, if they are nearer than what the rates are from.
    ///
    /// - Parameter chain: as of that frame.
    mutating func mend(with chain: OpenChain, _ rollUps: RollUps) {
        var isChanged = false
        let former = sums
        for live in chain.rows where live.pod >= 0 {
            guard let record = chain.record(in: live.slot), let index = index(of: record) else {
                continue
            }
            let before = UnsafePointer(chain.readings.base + Int(live.offset))
            if take(before, for: index) { isChanged = true }
        }
        guard isChanged else { return }
        var differences = [RollUpRow](repeating: RollUpRow(), count: namespaces.count)
        for (namespace, (new, old)) in zip(pods, zip(sums, former)) {
            let (new, old) = (new.figures, old.figures)
            for index in 0..<RollUpRow.width {
                let difference = (new.value(at: index) ?? 0) - (old.value(at: index) ?? 0)
                guard
                    difference != 0
                        || (new.value(at: index) == nil) != (old.value(at: index) == nil)
                else { continue }
                differences[Int(namespace)].add(difference, at: index)
            }
        }
        rollUps.amend(cycle: cycle, namespaces, differences)
    }

    private mutating func take(_ before: UnsafePointer<Int64>, for index: Int) -> Bool {
        let subject = subjects[index]
        let offset = Int(subject.offset)
        let (time, readTime) = (before[0], readings[offset])
        guard time != RateTable.never, time > subject.from, time < readTime else { return false }
        let counters = subject.record.schema.plan.counters
        for (number, counter) in counters.enumerated() {
            let rate = Rates.rate(
                isCPU: counter.isCPU,
                now: Rates.Reading(time: readTime, value: readings[offset + 1 + number]),
                before: Rates.Reading(time: time, value: before[1 + number]), start: 0,
                oldest: 0, cores: 0)
            readings[offset + 1 + counters.count + number] =
                rate.map { Int64(bitPattern: $0.bitPattern) } ?? RateTable.noRate
        }
        subjects[index].from = time
        return true
    }

    /// The subjects' rates added up to those of the pods.
    private var sums: [PodRates] {
        var sums = [PodRates](repeating: PodRates(), count: pods.count)
        for subject in subjects {
            let counters = subject.record.schema.plan.counters
            let rates = Int(subject.offset) + 1 + counters.count
            for (number, counter) in counters.enumerated() where counter.sum >= 0 {
                let rate = Double(bitPattern: UInt64(bitPattern: readings[rates + number]))
                guard !rate.isNaN else { continue }
                if subject.isPod {
                    sums[Int(subject.pod)].own.add(rate, at: counter.sum)
                } else {
                    sums[Int(subject.pod)].parts.add(rate, at: counter.sum)
                }
            }
        }
        return sums
    }
}
