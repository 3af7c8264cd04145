import Foundation
import Wire

/// `heapwire-fleet replay`: pushes recorded kubelet summaries as frames over the real wire.
///
/// The nodes keep step: the next step is sent when all nodes' frames of this one are acknowledged.
final class ReplayCommand {
    static let flags: [Flag] = [
        Flag(
            "summary-dir", "DIR",
            "Folder with summary_NODE_nK.json: what the kubelet of NODE answered at step K."),
        Flag(
            "base-time", "TIME",
            "Time of step 0, RFC 3339, or \"now\" for a last step at the present. Times within the "
                + "recording move with it. By default the recording's own times."),
        Flag(
            "step", "DURATION",
            "Time from one step to the next; by default what the recording says. It must be a "
                + "multiple of the aggregator's resolution to give one cycle a step."),
        Flag(
            "pace", "DURATION", default: "0",
            "Pause between steps in real time, so that each is seen before the next comes."),
        Flag(
            "hold", "DURATION", default: "0", "Stay connected for so long after the last step."),
        Flag(
            "pods", "FILE",
            "The apiserver's PodList; by default api_pods.json of the folder, if it is there. "
                + "Container IDs in it are used."),
        Flag(
            "write-pods", "FILE",
            "Write the PodList with the container IDs of the frames, so that names can be joined."),
        Flag("timeout", "DURATION", default: "30s", "Give up when a step takes longer."),
    ]

    private let recording: Recording
    private let containerIDs: ContainerIDs
    private let loop: EventLoop
    private let box = CounterBox()
    private let timeout: Int64
    private var nodes: [(node: ReplayNode, summaries: [SummarySubjects?], link: FleetLink)] = []
    private var baseTime: Int64 = 0
    private var stepLength: Int64 = 0

    init(_ line: inout CommandLine) throws {
        guard let directory = line.text("summary-dir") else {
            throw FleetFailure.usage("--summary-dir is missing")
        }
        recording = try Recording(directory: directory, podsPath: line.text("pods"))
        containerIDs = ContainerIDs(pods: recording.pods)
        loop = try EventLoop()
        timeout = line.milliseconds("timeout", in: 100...3_600_000) ?? 30_000
        if let path = line.text("write-pods") {
            let data = try JSONSerialization.data(
                withJSONObject: recording.podsWithContainerIDs(containerIDs),
                options: [.prettyPrinted, .sortedKeys])
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        }
        let shift = try chooseTimes(&line)
        let target = try FleetOptions.target(&line)
        let token = try FleetOptions.token(&line)
        for (name, summaries) in recording.nodes.sorted(by: { $0.key < $1.key }) {
            let node = ReplayNode(name: name, stepCount: recording.stepCount)
            let identity = FleetLink.Identity(
                nodeName: name, runID: (0..<16).map { _ in UInt8.random(in: 0...255) },
                token: token, stamp: { $0 })
            let link = FleetLink(identity, log: node.log, target: target, loop: loop, box: box)
            let subjects = summaries.map { summary in
                summary.map { SummarySubjects($0, shift: shift, containerIDs: containerIDs) }
            }
            nodes.append((node, subjects, link))
        }
    }

    /// Base time and step length; returns by how much the recording's times move.
    private func chooseTimes(_ line: inout CommandLine) throws -> Int64 {
        let ids = containerIDs
        let times = (0..<recording.stepCount).map { step in
            recording.nodes.values.compactMap { summaries in
                summaries[step].map { SummarySubjects($0, shift: 0, containerIDs: ids).time }
            }.min()
        }
        guard let first = times.first.flatMap({ $0 }) else {
            throw FleetFailure.usage("the recording has no step 0")
        }
        let recorded = times.count > 1 ? (times[1] ?? first) - first : 0
        stepLength =
            line.milliseconds("step", in: 1...86_400_000) ?? (recorded > 0 ? recorded : 60_000)
        switch line.text("base-time") {
        case nil: baseTime = first
        case "now":
            let now = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
            let last = now - now % stepLength
            baseTime = last - Int64(recording.stepCount - 1) * stepLength
        case .some(let text):
            guard let time = RFC3339.milliseconds(parsing: text) ?? Int64(text) else {
                throw FleetFailure.usage("--base-time=\(text) is neither RFC 3339 nor \"now\"")
            }
            baseTime = time
        }
        return baseTime - first
    }

    /// Sends everything; returns when the last frame was acknowledged and `hold` is over.
    func run(pace: Int64, hold: Int64) throws {
        for item in nodes { item.link.connect() }
        try wait("a welcome") { self.nodes.allSatisfy { $0.link.isStreaming } }
        let resolution = nodes.map(\.link.resolutionMilliseconds).max() ?? 0
        if resolution > 0, stepLength % resolution != 0 || baseTime % resolution != 0 {
            Diagnostics.warning(
                "steps of \(stepLength) ms from \(baseTime) are not whole multiples of the "
                    + "aggregator's resolution of \(resolution) ms: some give no cycle of their own"
            )
        }
        for step in 0..<recording.stepCount {
            if step > 0, pace > 0 { turn(for: pace) }
            let time = baseTime + Int64(step) * stepLength
            for item in nodes {
                guard let summary = item.summaries[step] else { continue }
                try item.node.record(summary, step: time, clock: loop.clock)
                item.link.pump()
            }
            try wait("acknowledgement of step \(step)") {
                self.nodes.allSatisfy { $0.link.acknowledged >= $0.node.log.newest }
            }
        }
        if hold > 0 { turn(for: hold) }
        for item in nodes { item.link.disconnect() }
        printSummary()
    }

    private func turn(for milliseconds: Int64) {
        let end = loop.clock.monotonicNanoseconds + UInt64(milliseconds) * 1_000_000
        while loop.clock.monotonicNanoseconds < end, !StopSignal.isRaised {
            loop.turn(waitMillisecondsMax: 20)
        }
    }

    private func wait(_ what: String, until isDone: () -> Bool) throws {
        let end = loop.clock.monotonicNanoseconds + UInt64(timeout) * 1_000_000
        while !isDone() {
            loop.turn(waitMillisecondsMax: 50)
            guard !StopSignal.isRaised else { throw FleetFailure.stopped }
            guard loop.clock.monotonicNanoseconds < end else {
                let words = box.counters.rejects.keys.sorted().joined(separator: "; ")
                throw FleetFailure.timedOut(what: what, words: words)
            }
        }
    }

    private func printSummary() {
        let skipped = nodes.flatMap(\.summaries).reduce(0) { $0 + ($1?.skippedMetricCount ?? 0) }
        FleetOutput.json([
            ("nodes", "\(nodes.count)"), ("steps", "\(recording.stepCount)"),
            ("base_time_ms", "\(baseTime)"), ("step_ms", "\(stepLength)"),
            ("frames", "\(box.counters.framesAcknowledged)"),
            ("samples", "\(box.counters.samplesAcknowledged)"),
            ("bytes", "\(box.counters.bytesSent)"),
            ("application_metrics_skipped", "\(skipped)"),
        ])
    }
}
