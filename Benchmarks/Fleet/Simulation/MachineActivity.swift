import Wire

/// The figures of a node outside its pods: counters and gauges that move with given probabilities.
struct MachineActivity {
    /// How one figure moves.
    struct Figure {
        let metric: MetricID
        let granularity: UInt32
        let isCounter: Bool
        let start: Int64
        /// Of moving in a step.
        let probability: Double
        /// A counter's rise in a second; the most that a gauge moves in a step.
        let amount: Double

        static func counter(
            _ metric: MetricID, _ probability: Double, _ perSecond: Double, unit: UInt32 = 1
        ) -> Figure {
            Figure(
                metric: metric, granularity: unit, isCounter: true, start: 1_000_000,
                probability: probability, amount: perSecond)
        }

        static func gauge(
            _ metric: MetricID, _ probability: Double, start: Int64, by amount: Double,
            unit: UInt32 = 1
        ) -> Figure {
            Figure(
                metric: metric, granularity: unit, isCounter: false, start: start,
                probability: probability, amount: amount)
        }
    }

    private let figures: [Figure]
    private var values: [Int64]

    init(_ figures: [Figure]) {
        self.figures = figures
        values = figures.map { $0.start / Int64($0.granularity) * Int64($0.granularity) }
    }

    static func schema(_ figures: [Figure]) -> Schema {
        Schema(
            [SchemaField(.readOffset)]
                + figures.map { SchemaField($0.metric, granularity: $0.granularity) })
    }

    mutating func pass(seconds: Double, _ random: inout SplitMix) {
        for index in figures.indices {
            let figure = figures[index]
            guard random.happens(figure.probability) else { continue }
            let unit = Int64(figure.granularity)
            if figure.isCounter {
                values[index] += max(1, random.around(figure.amount * seconds) / unit) * unit
            } else {
                let move = random.around(2 * figure.amount) - Int64(2 * figure.amount)
                values[index] = max(0, values[index] + move / unit * unit)
            }
        }
    }

    func write(to row: UnsafeMutableBufferPointer<Int64>) {
        for index in values.indices { row[index + 1] = values[index] }
    }

    // MARK: A machine's parts

    private static let page: UInt32 = 4_096
    private static let tick: UInt32 = 10_000_000
    private static let gibibyte = Int64(1) << 30

    static let node: [Figure] = [
        .counter(.cpuUsage, 1, 4e9, unit: tick), .counter(.cpuUser, 1, 2.5e9, unit: tick),
        .counter(.cpuSystem, 1, 1e9, unit: tick), .counter(.cpuNice, 0.01, 1e7, unit: tick),
        .counter(.cpuIdle, 1, 1.2e10, unit: tick), .counter(.cpuIOWait, 0.4, 3e7, unit: tick),
        .counter(.cpuIRQ, 0, 0), .counter(.cpuSoftIRQ, 0.7, 3e7, unit: tick),
        .counter(.cpuSteal, 0.1, 1e7, unit: tick), .counter(.cpuGuest, 0, 0),
        .counter(.cpuGuestNice, 0, 0),
        .gauge(.load1, 0.2, start: 4_000, by: 300), .gauge(.load5, 0.2, start: 4_000, by: 60),
        .gauge(.load15, 0.2, start: 4_000, by: 20),
        .counter(.contextSwitches, 1, 60_000), .counter(.interrupts, 1, 30_000),
        .gauge(.memoryUsage, 1, start: 30 * gibibyte, by: 4e6, unit: page),
        .gauge(.memoryWorkingSet, 1, start: 24 * gibibyte, by: 4e6, unit: page),
        .gauge(.memoryRSS, 0.9, start: 18 * gibibyte, by: 2e6, unit: page),
        .gauge(.memoryCache, 0.9, start: 10 * gibibyte, by: 2e6, unit: page),
        .gauge(.memoryMappedFile, 0.2, start: gibibyte, by: 1e5, unit: page),
        .gauge(.memoryKernel, 0.6, start: gibibyte, by: 1e5, unit: page),
        .gauge(.memoryActiveAnon, 0.3, start: gibibyte, by: 1e5, unit: page),
        .gauge(.memoryInactiveAnon, 0.9, start: 17 * gibibyte, by: 2e6, unit: page),
        .gauge(.memoryActiveFile, 0.3, start: 4 * gibibyte, by: 1e5, unit: page),
        .gauge(.memoryInactiveFile, 0.8, start: 6 * gibibyte, by: 2e6, unit: page),
        .gauge(.memoryUnevictable, 0, start: 0, by: 0),
        .gauge(.memorySlabReclaimable, 0.5, start: gibibyte, by: 1e5, unit: page),
        .gauge(.memorySlabUnreclaimable, 0.5, start: gibibyte / 2, by: 1e5, unit: page),
        .gauge(.memoryDirty, 0.8, start: 4_096_000, by: 1e5, unit: page),
        .gauge(.memoryWriteback, 0.05, start: 0, by: 4e4, unit: page),
        .counter(.memoryPageFaults, 1, 20_000), .counter(.memoryMajorPageFaults, 0.05, 3),
        .counter(.memoryOOMKills, 0, 0), .gauge(.memoryShmem, 0.02, start: 4_096_000, by: 4e4),
        .gauge(.memoryPageTables, 0.6, start: 409_600_000, by: 4e4, unit: page),
        .gauge(.memoryKernelStack, 0.4, start: 40_960_000, by: 2e4, unit: page),
        .gauge(.memoryTotal, 0, start: 64 * gibibyte, by: 0),
        .gauge(.memoryFree, 1, start: 30 * gibibyte, by: 4e6, unit: page),
        .gauge(.memoryAvailable, 1, start: 38 * gibibyte, by: 4e6, unit: page),
        .gauge(.memoryBuffers, 0.2, start: gibibyte / 4, by: 1e4, unit: page),
        .gauge(.memoryCommitted, 0.8, start: 50 * gibibyte, by: 4e6, unit: page),
        .counter(.memoryPagedIn, 0.1, 1e5, unit: 1_024),
        .counter(.memoryPagedOut, 0.9, 1e6, unit: 1_024),
        .counter(.pressureCPUSome, 1, 3e7, unit: 1_000),
        .counter(.pressureMemorySome, 0.01, 1e5, unit: 1_000),
        .counter(.pressureMemoryFull, 0.01, 1e5, unit: 1_000),
        .counter(.pressureIOSome, 0.6, 4e6, unit: 1_000),
        .counter(.pressureIOFull, 0.6, 3e6, unit: 1_000),
        .gauge(.processThreads, 0.7, start: 3_000, by: 6),
        .gauge(.processesRunning, 0.7, start: 4, by: 3),
        .gauge(.processesBlocked, 0.1, start: 0, by: 2), .counter(.processForks, 0.9, 30),
        .gauge(.fileHandles, 0.4, start: 12_000, by: 96),
        .gauge(.socketsUsed, 0.5, start: 900, by: 5), .gauge(.tcpInUse, 0.5, start: 300, by: 5),
        .gauge(.tcpTimeWait, 0.7, start: 200, by: 20),
        .gauge(.tcpMemory, 0.3, start: 4_096_000, by: 4e4, unit: page),
    ]

    static let blockDevice: [Figure] = [
        .counter(.diskReadBytes, 0.1, 1e5, unit: 512),
        .counter(.diskWriteBytes, 0.9, 1e6, unit: 512),
        .counter(.diskReads, 0.1, 4), .counter(.diskWrites, 0.9, 60),
        .counter(.diskReadsMerged, 0.02, 2), .counter(.diskWritesMerged, 0.8, 20),
        .counter(.diskReadTime, 0.1, 4), .counter(.diskWriteTime, 0.9, 80),
        .gauge(.diskInFlight, 0.1, start: 0, by: 2), .counter(.diskIOTime, 0.9, 40),
        .counter(.diskIOTimeWeighted, 0.9, 90),
    ]

    static let interface: [Figure] = [
        .counter(.networkReceiveBytes, 1, 3e6), .counter(.networkReceivePackets, 1, 3e3),
        .counter(.networkReceiveErrors, 0, 0), .counter(.networkReceiveDropped, 0, 0),
        .counter(.networkTransmitBytes, 1, 9e6), .counter(.networkTransmitPackets, 1, 8e3),
        .counter(.networkTransmitErrors, 0, 0), .counter(.networkTransmitDropped, 0, 0),
    ]

    static let filesystem: [Figure] = [
        .gauge(.filesystemUsage, 0.05, start: 40 * gibibyte, by: 1e7, unit: page),
        .gauge(.filesystemLimit, 0, start: 100 * gibibyte, by: 0),
        .gauge(.filesystemAvailable, 0.05, start: 60 * gibibyte, by: 1e7, unit: page),
        .gauge(.filesystemInodes, 0, start: 6_553_600, by: 0),
        .gauge(.filesystemInodesFree, 0.05, start: 6_000_000, by: 20),
    ]

    static let agent: [Figure] = [
        .counter(.agentCPU, 1, 9e6), .gauge(.agentRSS, 0.02, start: 8_388_608, by: 8e3, unit: page),
        .counter(.agentReadErrors, 0, 0), .counter(.agentStepsSkipped, 0, 0),
        .gauge(.agentRingBytes, 1, start: 2_000, by: 400),
        .gauge(.agentRingFrames, 0.1, start: 1, by: 1), .counter(.agentRingDropped, 0, 0),
        .gauge(.agentSampleTime, 1, start: 8_000_000, by: 900_000),
        .gauge(.agentOpenFiles, 0.05, start: 900, by: 8),
        .gauge(.agentSubjects, 0.02, start: 190, by: 4),
    ]
}
