import Wire

/// Counters to rates, by Heapster's formulas: the change between two cycles over the time between
/// their true read times, `cpu/usage_rate` in millicores and cut to a whole number, the others per
/// second. Unlike Heapster's, a counter that fell is a restart and gives no rate, never a negative.
enum Rates {
    /// A counter and the rate that comes from it.
    struct Pair: Sendable {
        let counter: MetricID
        let rate: MetricID
    }

    static let pairs: [Pair] = [
        Pair(counter: .cpuUsage, rate: .cpuUsageRate),
        Pair(counter: .memoryPageFaults, rate: .memoryPageFaultsRate),
        Pair(counter: .memoryMajorPageFaults, rate: .memoryMajorPageFaultsRate),
        Pair(counter: .networkReceiveBytes, rate: .networkReceiveRate),
        Pair(counter: .networkReceiveErrors, rate: .networkReceiveErrorsRate),
        Pair(counter: .networkTransmitBytes, rate: .networkTransmitRate),
        Pair(counter: .networkTransmitErrors, rate: .networkTransmitErrorsRate),
        Pair(counter: .diskReadBytes, rate: .diskReadBytesRate),
        Pair(counter: .diskWriteBytes, rate: .diskWriteBytesRate),
    ]

    /// The counter behind a rate; `nil` for any other metric.
    static func counter(of rate: MetricID) -> MetricID? {
        pairs.first { $0.rate == rate }?.counter
    }

    /// One reading of a counter.
    struct Reading: Equatable {
        /// When it was read, milliseconds since the epoch.
        var time: Int64
        var value: Int64
    }

    /// The rate between two readings of a subject's counter.
    ///
    /// - Parameters:
    ///   - before: the previous cycle's reading; without one the counter began at 0 with the subject.
    ///   - start: when the subject started, milliseconds since the epoch, 0 if unknown.
    ///   - oldest: the earliest `start` that may stand for a previous reading: about one cycle before
    ///     `now`, lest an old container's first sight shows its lifetime's average.
    /// - Returns: `nil` when there is nothing to compare with, or the counter fell.
    static func rate(
        _ metric: MetricID, now: Reading, before: Reading?, start: Int64, oldest: Int64
    ) -> Double? {
        let from: Reading
        if let before {
            from = before
        } else if start >= oldest, start > 0 {
            from = Reading(time: start, value: 0)
        } else {
            return nil
        }
        let milliseconds = now.time &- from.time
        let (change, overflow) = now.value.subtractingReportingOverflow(from.value)
        guard milliseconds > 0, change >= 0, !overflow else { return nil }
        if metric == .cpuUsageRate {
            // Nanoseconds over milliseconds are millionths of a core; a thousand of them a millicore.
            return Double(change / milliseconds / 1_000)
        }
        return Double(change) * 1_000 / Double(milliseconds)
    }

    /// A subject's counters at its newest cycle, and the rates there.
    struct State {
        /// When the counters were read, `Int64.min` before the first time.
        var time: Int64 = .min
        /// The cycle, milliseconds since the epoch.
        var cycle: Int64 = .min
        /// By `Plan.columns`.
        var counters: [Int64] = []
        /// By `Plan.columns`; `nan` where there is none.
        var rates: [Double] = []
    }

    /// Which columns of a schema have rates: worked out once per schema.
    struct Plan {
        let columns: [(column: Int, rate: MetricID)]
        let readOffsetColumn: Int?
        /// Where each of the roll-ups' metrics comes from, for those that the schema has.
        let sums: [(index: Int, source: Source)]

        enum Source {
            case column(Int)
            /// Index into `columns`.
            case rate(Int)
        }

        init(_ schema: Schema) {
            columns = pairs.compactMap { pair in
                schema.column(of: pair.counter).map { ($0, pair.rate) }
            }
            readOffsetColumn = schema.column(of: .readOffset)
            let rates = columns.map(\.rate)
            sums = RollUps.metrics.enumerated().compactMap { index, metric in
                if let column = schema.column(of: metric) { return (index, .column(column)) }
                return rates.firstIndex(of: metric).map { (index, .rate($0)) }
            }
        }

        /// When the subject of this row was read, milliseconds since the epoch.
        func readTime(_ header: FrameHeader, _ row: UnsafeBufferPointer<Int64>) -> Int64 {
            let base = header.stepMilliseconds &+ header.readDelayMilliseconds
            guard let readOffsetColumn else { return base }
            return base &+ row[readOffsetColumn]
        }

        /// Moves a subject's state on to the cycle of this frame.
        func advance(
            _ state: inout State, cycle: Int64, header: FrameHeader,
            row: UnsafeBufferPointer<Int64>,
            start: Int64, resolution: Int64
        ) {
            let time = readTime(header, row)
            let isFirst = state.time == .min
            if state.counters.isEmpty, !columns.isEmpty {
                state.counters = [Int64](repeating: 0, count: columns.count)
                state.rates = [Double](repeating: .nan, count: columns.count)
            }
            for (index, item) in columns.enumerated() {
                let now = Reading(time: time, value: row[item.column])
                let before =
                    isFirst ? nil : Reading(time: state.time, value: state.counters[index])
                state.rates[index] =
                    Rates.rate(
                        item.rate, now: now, before: before, start: start,
                        oldest: time &- 2 &* resolution) ?? .nan
                state.counters[index] = now.value
            }
            state.time = time
            state.cycle = cycle
        }

        /// A gauge or rate for the roll-ups; `nan` where there is none this cycle.
        func value(
            _ source: Source, row: UnsafeBufferPointer<Int64>, state: State
        ) -> Double {
            switch source {
            case .column(let column): Double(row[column])
            case .rate(let index): index < state.rates.count ? state.rates[index] : .nan
            }
        }
    }
}
