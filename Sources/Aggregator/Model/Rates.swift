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
    ///   - cores: of the node, 0 if unknown. More CPU than that since the start is a start time that is
    ///     not true to the millisecond.
    /// - Returns: `nil` when there is nothing to compare with, or the counter fell.
    static func rate(
        _ metric: MetricID, now: Reading, before: Reading?, start: Int64, oldest: Int64,
        cores: Int64
    ) -> Double? {
        rate(
            isCPU: metric == .cpuUsageRate, now: now, before: before, start: start,
            oldest: oldest, cores: cores)
    }

    static func rate(
        isCPU: Bool, now: Reading, before: Reading?, start: Int64, oldest: Int64, cores: Int64
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
        if isCPU {
            // Nanoseconds over milliseconds are millionths of a core; a thousand of them a millicore.
            let millicores = change / milliseconds / 1_000
            return Double(before == nil && cores > 0 ? min(millicores, cores * 1_000) : millicores)
        }
        return Double(change) * 1_000 / Double(milliseconds)
    }

    /// Billionths of a core: nanoseconds of CPU time over milliseconds; -1 where that is none.
    @inline(__always)
    fileprivate static func nanocores(_ nanoseconds: Int64, _ milliseconds: Int64) -> Int64 {
        guard milliseconds > 0, nanoseconds >= 0 else { return -1 }
        let rate = Double(nanoseconds) * 1_000 / Double(milliseconds)
        return rate < 0x1p62 ? Int64(rate) : -1
    }

    /// Which columns of a schema have rates, and which of its figures the roll-ups add up: worked out
    /// once per schema.
    struct Plan {
        /// Columns of the counters and their rates.
        let counters: [Counter]
        /// Column of the read offset, -1 for none.
        let readOffsetColumn: Int
        /// Columns of the gauges that are added up.
        let gauges: [Gauge]

        struct Counter: Sendable {
            let column: Int
            let isCPU: Bool
            /// Index of the rate in `RollUps.metrics`, -1 where it is not added up.
            let sum: Int
        }

        struct Gauge: Sendable {
            let column: Int
            /// Index in `RollUps.metrics`.
            let sum: Int
        }

        init(_ schema: Schema) {
            counters = pairs.compactMap { pair in
                schema.column(of: pair.counter).map {
                    Counter(
                        column: $0, isCPU: pair.rate == .cpuUsageRate,
                        sum: RollUps.metrics.firstIndex(of: pair.rate) ?? -1)
                }
            }
            readOffsetColumn = schema.column(of: .readOffset) ?? -1
            gauges = RollUps.metrics.enumerated().compactMap { index, metric in
                schema.column(of: metric).map { Gauge(column: $0, sum: index) }
            }
        }

        /// Moves a subject's readings on to those of a row.
        ///
        /// - Parameters:
        ///   - part: the subject's part of a `RateTable`.
        ///   - readTime: of the frame, milliseconds since the epoch.
        ///   - start: when the subject started, milliseconds since the epoch, 0 if unknown.
        ///   - cores: see `Rates.rate`.
        @inline(__always)
        func advance(
            _ part: UnsafeMutablePointer<Int64>, row: UnsafeBufferPointer<Int64>,
            readTime: Int64, start: Int64, resolution: Int64, cores: Int64
        ) {
            let time = readOffsetColumn < 0 ? readTime : readTime &+ row[readOffsetColumn]
            let count = counters.count
            let before = part[0]
            // A clock that was set back begins anew.
            let isFirst = before == RateTable.never || before > time
            let oldest = time &- 2 &* resolution
            let from = isFirst ? (start > 0 && start >= oldest ? start : time) : before
            let milliseconds = time &- before
            part[1 &+ 2 &* count] = max(0, time &- from)
            for index in 0..<count {
                let counter = counters[index]
                let value = row[counter.column]
                let rate: Double
                if !isFirst, milliseconds > 0, value == part[1 &+ index] {
                    rate = 0
                } else {
                    rate =
                        Rates.rate(
                            isCPU: counter.isCPU, now: Reading(time: time, value: value),
                            before: isFirst
                                ? nil : Reading(time: before, value: part[1 &+ index]),
                            start: start, oldest: oldest, cores: cores) ?? .nan
                }
                if counter.isCPU {
                    let nanoseconds = value &- (isFirst ? 0 : part[1 &+ index])
                    let use = rate.isNaN ? -1 : nanocores(nanoseconds, time &- from)
                    part[2 &+ 2 &* count] =
                        isFirst && cores > 0 ? min(use, cores &* 1_000_000_000) : use
                }
                part[1 &+ index] = value
                part[1 &+ count &+ index] = Int64(bitPattern: rate.bitPattern)
            }
            part[0] = time
        }

        /// Adds the subject's figures to what is rolled up.
        @inline(__always)
        func add(
            _ part: UnsafeMutablePointer<Int64>, _ row: UnsafeBufferPointer<Int64>,
            to sums: inout RollUpRow
        ) {
            for gauge in gauges { sums.add(Double(row[gauge.column]), at: gauge.sum) }
            let rates = part + 1 + counters.count
            for index in counters.indices where counters[index].sum >= 0 {
                let rate = Double(bitPattern: UInt64(bitPattern: rates[index]))
                if !rate.isNaN { sums.add(rate, at: counters[index].sum) }
            }
        }
    }
}

extension MachineFacts {
    /// For the bound of first rates: 0 where it is unknown, or more than there are.
    var coreCount: Int64 { cores < 1 << 16 ? Int64(cores) : 0 }
}
