import Wire

/// `/api/v1/sinks`: how each sink is doing, as a list of JSON objects in the order of the flags.
struct SinksAPI: Sendable {
    /// `nil` where there are none.
    let sinks: SinkSet?
    /// `nil` where this aggregator always writes.
    var leader: LeaderElector?

    func register(in router: inout Router) {
        router.add(.get, "/api/v1/sinks") { _ in
            var json = JSONWriter()
            json.beginArray()
            let holder = leader?.status.holder
            for status in sinks?.statuses ?? [] { status.write(to: &json, leaseHolder: holder) }
            json.endArray()
            json.bytes.append(UInt8(ascii: "\n"))
            return .now(.json(json.bytes))
        }
    }
}

extension SinkSet {
    /// Each sink's counters and gauges, labelled with its name.
    ///
    /// - Parameter now: the clock, milliseconds since the epoch.
    func write(to text: inout PrometheusText, now: Int64) {
        let statuses = statuses
        guard !statuses.isEmpty else { return }
        func family(
            _ name: String, _ kind: PrometheusText.Kind, _ help: String,
            _ value: (SinkStatus) -> Double?
        ) {
            text.family("heapwire_sink_\(name)", kind, help)
            for status in statuses {
                guard let value = value(status) else { continue }
                text.sample("heapwire_sink_\(name)", [("sink", status.name)], value)
            }
        }
        family("delivered_requests_total", .counter, "Requests that the backend took") {
            Double($0.deliveredRequests)
        }
        family("delivered_points_total", .counter, "Values in those requests") {
            Double($0.deliveredPoints)
        }
        family("delivered_bytes_total", .counter, "Bytes of those requests") {
            Double($0.deliveredBytes)
        }
        family("retried_requests_total", .counter, "Attempts that failed and are repeated") {
            Double($0.retriedRequests)
        }
        family(
            "refused_requests_total", .counter,
            "Requests that the backend will never take, set aside with the reason"
        ) { Double($0.refusedRequests) }
        family("refused_points_total", .counter, "Values in those requests") {
            Double($0.refusedPoints)
        }
        family("dropped_requests_total", .counter, "Requests dropped because the queue was full") {
            Double($0.droppedRequests)
        }
        family("dropped_points_total", .counter, "Values in those requests") {
            Double($0.droppedPoints)
        }
        family("damaged_records_total", .counter, "Requests on the disk that could not be read") {
            Double($0.damagedRecords)
        }
        family("skipped_cycles_total", .counter, "Cycles that came faster than they were encoded") {
            Double($0.skippedCycles)
        }
        family("skipped_late_total", .counter, "Late data where the backend takes none") {
            Double($0.skippedLate)
        }
        family("skipped_amendments_total", .counter, "Changed sums that the backend cannot take") {
            Double($0.skippedAmendments)
        }
        family("file_errors_total", .counter, "File operations of the queue that failed") {
            Double($0.fileErrors)
        }
        family(
            "delivered_cycle_age_seconds", .gauge, "Age of the newest cycle that was delivered"
        ) { $0.newestDeliveredCycle.map { Double(max(0, now &- $0)) / 1_000 } }
        family("queue_requests", .gauge, "Requests that wait") { Double($0.queuedRequests) }
        family("queue_bytes", .gauge, "Bytes that wait") { Double($0.queuedBytes) }
        family("queue_age_seconds", .gauge, "Age of the oldest cycle that waits") {
            $0.oldestQueuedCycle.map { Double(max(0, now &- $0)) / 1_000 } ?? 0
        }
        family(
            "missing_cycles", .gauge,
            "Cycles that are in no model any more; an aggregator that led before may have them queued"
        ) { Double($0.missingCycles) }
        family("standby", .gauge, "1 while another aggregator writes to the backend") {
            $0.isStandby ? 1 : 0
        }
        family("failing", .gauge, "1 while the last attempt failed") { $0.isFailing ? 1 : 0 }
        let name = "heapwire_sink_last_error_timestamp_seconds"
        text.family(name, .gauge, "When the last attempt failed, and why")
        for status in statuses {
            guard let error = status.lastError, let time = status.lastErrorTime else { continue }
            text.sample(
                name, [("sink", status.name), ("error", String(error.prefix(200)))],
                Double(time) / 1_000)
        }
    }
}
