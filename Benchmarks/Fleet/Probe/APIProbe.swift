import Glibc
import Synchronization
import Wire

/// Asks the aggregator's model API while the fleet runs: how old a sample is when it can first be
/// seen, and how long one pod's whole series takes. One thread, one question at a time.
final class APIProbe: Sendable {
    struct Result: Sendable {
        /// From the moment a frame is due to be taken to an answer that has it.
        var visible = LatencyHistogram()
        /// Of one pod's series over all history, CPU and memory in turn.
        var series = LatencyHistogram()
        /// Points in the last such series.
        var seriesPoints = 0
        /// Questions without the answer they must have.
        var failures: [String: Int] = [:]
    }

    private let options: SimulationOptions
    private let address: SocketAddress
    private let pods: [(uid: String, namespace: String, name: String)]
    private let state = Mutex(Result())
    private let isStopped = Atomic<Bool>(false)
    private let clock = Clock.system

    /// - Parameter pods: some that live as long as the run.
    init(
        _ options: SimulationOptions, _ address: SocketAddress,
        pods: [(uid: String, namespace: String, name: String)]
    ) {
        self.options = options
        self.address = address
        self.pods = pods
    }

    var result: Result { state.withLock { $0 } }
    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Asks until `stop`, from `start` on (milliseconds since the epoch).
    func run(from start: Int64) {
        var probe = HTTPProbe(address)
        var random = SplitMix(seed: options.seed ^ 0xA91)
        while now / 1_000 < start, !isStopped.load(ordering: .relaxed) { usleep(10_000) }
        var turn = 0
        while !isStopped.load(ordering: .relaxed) {
            do {
                try askVisible(&probe, &random)
                try askSeries(&probe, &random, isCPU: turn % 2 == 0)
            } catch {
                note("\(error)")
                usleep(100_000)
            }
            turn += 1
        }
    }

    /// Microseconds since the epoch.
    private var now: Int64 { Int64(clock.realtimeNanoseconds / 1_000) }

    private func note(_ words: String) {
        state.withLock { $0.failures[words, default: 0] += 1 }
    }

    /// Waits for a node's next frame and asks for it until it is there.
    private func askVisible(_ probe: inout HTTPProbe, _ random: inout SplitMix) throws {
        let earliest = now + 3_000
        var due = Int64.max
        var stream = 0
        // The stream whose frame comes next, by the same arithmetic as in `FleetShard`.
        for candidate in 0..<options.streams {
            let delay = options.delay(ofStream: candidate) * 1_000
            let resolution = options.resolution * 1_000
            let next = (earliest - delay + resolution - 1) / resolution * resolution + delay
            if next < due { (due, stream) = (next, candidate) }
        }
        let nodes = (options.nodes - stream + options.streams - 1) / options.streams
        let node = stream + options.streams * Int(random.next() % UInt64(nodes))
        let step = due / 1_000 - options.delay(ofStream: stream)
        let path =
            "/api/v1/model/nodes/\(SimulatedNames(node: node).nodeName)/metrics/memory/usage"
            + "?start=\(RFC3339.string(milliseconds: step))"
        while now < due { usleep(UInt32(max(1, min(1_000, due - now)))) }
        while !isStopped.load(ordering: .relaxed) {
            let (status, body) = try probe.get(path)
            guard status == 200 else { throw HTTPProbe.Failure.malformed("status \(status)") }
            let age = UInt64(max(0, now - due)) * 1_000
            if contains(body, "\"value\"") {
                state.withLock { $0.visible.add(nanoseconds: age) }
                return
            }
            guard age < 5_000_000_000 else {
                state.withLock { $0.visible.add(nanoseconds: age) }
                return note("a node's frame was not to be seen in 5 s")
            }
            usleep(500)
        }
    }

    private func askSeries(
        _ probe: inout HTTPProbe, _ random: inout SplitMix, isCPU: Bool
    ) throws {
        guard !pods.isEmpty else { return }
        let pod = pods[Int(random.next() % UInt64(pods.count))]
        // Without a pod list the aggregator knows a pod by its UID.
        let path =
            options.aggregatorKnowsPods
            ? "\(pod.namespace)/pods/\(pod.name)" : "_unknown/pods/\(pod.uid)"
        let metric = isCPU ? "cpu/usage_rate" : "memory/working_set"
        let begin = clock.monotonicNanoseconds
        let (status, body) = try probe.get(
            "/api/v1/model/namespaces/\(path)/metrics/\(metric)")
        let taken = clock.monotonicNanoseconds - begin
        guard status == 200, contains(body, "\"value\"") else {
            return note("a pod's series was empty (status \(status))")
        }
        let points = body.count { $0 == UInt8(ascii: "{") } - 1
        state.withLock { state in
            state.series.add(nanoseconds: taken)
            state.seriesPoints = points
        }
    }

    private func contains(_ body: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard body.count >= count else { return false }
        return text.withUTF8Buffer { wanted in
            body.withUnsafeBytes { bytes in
                (0...bytes.count - count).contains { start in
                    bytes[start] == wanted[0] && bytes[start..<start + count].elementsEqual(wanted)
                }
            }
        }
    }
}
