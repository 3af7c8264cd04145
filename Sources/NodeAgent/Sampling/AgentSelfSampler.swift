import Glibc
import Wire

/// What the rest of the agent tells about itself; the sampler knows the other half.
struct AgentState: Equatable, Sendable {
    var stepsSkipped: Int64 = 0
    var ringBytes: Int64 = 0
    var ringFrames: Int64 = 0
    var ringFramesDropped: Int64 = 0
    var slowFiles: Int64 = 0
    var readsSkipped: Int64 = 0
    /// Frames that `--spool-dir` could not keep.
    var spoolFramesDropped: Int64 = 0
}

/// Samples the agent itself: what it costs and what it lost.
final class AgentSelfSampler {
    private static let fields: [SchemaField] = [
        SchemaField(.readOffset), SchemaField(.agentCPU, granularity: 1_000),
        SchemaField(.agentRSS, granularity: 4_096), SchemaField(.agentReadErrors),
        SchemaField(.agentStepsSkipped), SchemaField(.agentRingBytes),
        SchemaField(.agentRingFrames), SchemaField(.agentRingDropped),
        SchemaField(.agentSampleTime), SchemaField(.agentOpenFiles), SchemaField(.agentSubjects),
        SchemaField(.agentSlowFiles), SchemaField(.agentReadsSkipped),
        SchemaField(.agentSpoolDropped),
    ]

    let slot: Slot
    private let files: HostFiles
    /// This process's own, whatever the host's `/proc` is.
    private let statm: NodeFile?
    /// CPU time of all threads.
    private(set) var cpuNanoseconds: Int64 = 0
    private(set) var residentBytes: Int64 = 0

    init?(node: Slot, files: HostFiles, registry: inout SubjectRegistry) {
        self.files = files
        guard
            let slot = registry.add(
                Subject(kind: .agent, parent: node, attributes: [.name: "heapwire-agent"]),
                fields: Self.fields)
        else { return nil }
        self.slot = slot
        statm = NodeFile("/proc/self/statm", files)
    }

    deinit { statm?.close(files) }

    /// - Parameter sampleNanoseconds: how long the reading of this frame took so far.
    func sample(
        into encoder: FrameEncoder, state: AgentState, subjectCount: Int, sampleNanoseconds: Int64
    ) {
        readCosts()
        let row = encoder.row(of: slot)
        guard row.count == Self.fields.count else { return }
        row[0] = sampleNanoseconds / 1_000_000
        row[1] = cpuNanoseconds
        row[2] = residentBytes
        row[3] = files.failureCount
        row[4] = state.stepsSkipped
        row[5] = state.ringBytes
        row[6] = state.ringFrames
        row[7] = state.ringFramesDropped
        row[8] = sampleNanoseconds
        row[9] = Int64(files.keptCount)
        row[10] = Int64(subjectCount)
        row[11] = state.slowFiles
        row[12] = state.readsSkipped
        row[13] = state.spoolFramesDropped
    }

    private func readCosts() {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        cpuNanoseconds =
            (Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)) / 1_000 * 1_000
        let pages = statm?.parse(files) { text throws(KernelTextError) -> Int64 in
            // Size, resident, shared …, in pages.
            var scanner = try KernelScanner(text)
            _ = try scanner.decimal()
            try scanner.expect(Ascii.space, "statm")
            return try scanner.decimal()
        }
        if let pages { residentBytes = pages * Int64(getpagesize()) }
    }
}
