import Glibc
import Wire

/// The aggregator's own state, `/metrics`, in the Prometheus text format.
struct SelfMetrics: Sendable {
    let cluster: Cluster
    let ingest: IngestCounters
    let metadata: MetadataMetrics
    let clock: Clock
    /// Of the parts that this one does not know.
    var others: [Writer] = []

    typealias Writer = @Sendable (inout PrometheusText) -> Void

    func register(in router: inout Router) {
        router.add(.get, "/metrics") { _ in
            // It takes every node's lock: not on a loop, where others wait.
            .onWorker { _ in
                HTTPResponse(
                    .ok, contentType: PrometheusText.contentType, body: .bytes(exposition()))
            }
        }
    }

    func exposition() -> [UInt8] {
        var text = PrometheusText()
        text.family("heapwire_build_info", .gauge, "Version of this aggregator")
        text.sample("heapwire_build_info", [("version", HeapwireVersion.current)], 1)
        writeIngest(&text)
        writeModel(&text)
        metadata.write(to: &text)
        for other in others { other(&text) }
        writeProcess(&text)
        return text.bytes
    }

    private func writeIngest(_ text: inout PrometheusText) {
        text.single(
            "heapwire_ingest_frames_total", .counter, "Frames taken from agents",
            Double(ingest.frames))
        text.single(
            "heapwire_ingest_frame_bytes_total", .counter, "Payload bytes of those frames",
            Double(ingest.bytes))
        text.single(
            "heapwire_ingest_connections_total", .counter, "Connections to the ingest port",
            Double(ingest.connections))
        text.single(
            "heapwire_ingest_connections", .gauge, "Connections that are open",
            Double(ingest.openConnections))
        let name = "heapwire_ingest_rejections_total"
        text.family(name, .counter, "Connections ended by the aggregator, by reason")
        let rejections = ingest.rejectionsByCode
        for code in Farewell.Code.allCases {
            text.sample(name, [("reason", "\(code)")], Double(rejections[code] ?? 0))
        }
    }

    private func writeModel(_ text: inout PrometheusText) {
        let nodes = cluster.nodes.map { ($0.name, $0.statistics) }
        text.single(
            "heapwire_nodes", .gauge, "Nodes whose agent has ever spoken", Double(nodes.count))
        let counts = cluster.presence.counts ?? cluster.countNodes(expecting: nil).0
        text.single(
            "heapwire_nodes_reporting", .gauge, "Nodes with a frame within the last three steps",
            Double(counts.reporting))
        text.single(
            "heapwire_nodes_expected", .gauge,
            "Nodes that the apiserver tells of; without one, those heard of in the history window",
            Double(counts.expected))
        text.single(
            "heapwire_nodes_connected", .gauge, "Nodes whose agent is connected",
            Double(cluster.connectedNodeCount))
        let total = { (value: (NodeModel.Statistics) -> Double) in
            nodes.reduce(0) { $0 + value($1.1) }
        }
        text.single(
            "heapwire_samples_total", .counter, "Samples taken from agents",
            total { Double($0.counters.samples) })
        text.single(
            "heapwire_gap_frames_total", .counter, "Frames that agents declared lost",
            total { Double($0.counters.gapFrames) })
        text.single(
            "heapwire_history_bytes", .gauge, "Memory of the encoded history",
            total { Double($0.historyBytes) })
        text.single(
            "heapwire_broken_histories_total", .counter,
            "Histories dropped because they could not be decoded, a fault of the aggregator's",
            total { Double($0.counters.brokenHistories) })
        text.single(
            "heapwire_subjects", .gauge, "Nodes, pods, containers and their parts being watched",
            total { Double($0.subjects) })
        let lag = "heapwire_node_last_frame_age_seconds"
        text.family(lag, .gauge, "Time since the step of a node's newest frame")
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        for (name, statistics) in nodes where statistics.lastStep != .min {
            text.sample(lag, [("node", name)], Double(now - statistics.lastStep) / 1_000)
        }
        let skew = "heapwire_node_clock_skew_seconds"
        text.family(skew, .gauge, "The node's clock less ours when its agent connected")
        for (name, milliseconds) in cluster.clockSkews.sorted(by: { $0.key < $1.key }) {
            text.sample(skew, [("node", name)], Double(milliseconds) / 1_000)
        }
    }

    private func writeProcess(_ text: inout PrometheusText) {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let seconds = { (time: timeval) in Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        text.single(
            "process_cpu_seconds_total", .counter, "CPU time used by the aggregator",
            seconds(usage.ru_utime) + seconds(usage.ru_stime))
        if let byteCount = ProcessMemory.residentByteCount() {
            text.single(
                "process_resident_memory_bytes", .gauge, "Resident memory of the aggregator",
                Double(byteCount))
        }
    }
}

extension HTTPCounters.Snapshot {
    func write(to text: inout PrometheusText) {
        let responses = "heapwire_http_responses_total"
        text.family(responses, .counter, "Answers of the API by the first digit of their status")
        for digit in 1...5 {
            text.sample(responses, [("code", "\(digit)xx")], Double(self.responses[digit]))
        }
        let timeouts = "heapwire_http_timeouts_total"
        text.family(timeouts, .counter, "Time limits that clients or handlers exceeded")
        for kind in HTTPCounters.Timeout.allCases {
            text.sample(
                timeouts, [("limit", kind.name.description)], Double(self.timeouts[kind.rawValue]))
        }
        text.single(
            "heapwire_http_connections", .gauge, "Connections to the API that are open",
            Double(openConnections))
        text.single(
            "heapwire_http_connections_total", .counter, "Connections to the API",
            Double(acceptedConnections))
        let refusals = "heapwire_http_refusals_total"
        text.family(refusals, .counter, "What the API's server turned away, by reason")
        for (reason, count) in [
            ("connections", refusedConnections), ("handshake", failedHandshakes),
            ("malformed", refusedRequests), ("overloaded", overloadedRequests),
            ("abandoned", abandonedRequests), ("too_costly", failedAnswers),
        ] {
            text.sample(refusals, [("reason", reason)], Double(count))
        }
        text.single(
            "heapwire_http_received_bytes_total", .counter, "Bytes of requests",
            Double(receivedBytes))
        text.single(
            "heapwire_http_sent_bytes_total", .counter, "Bytes of answers", Double(sentBytes))
    }
}
