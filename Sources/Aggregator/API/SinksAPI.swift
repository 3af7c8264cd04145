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
        var families = SinkFamilies(text: text, statuses: statuses)
        guard !families.statuses.isEmpty else { return }
        families.writeDelivered(now)
        families.writeLost()
        families.writeQueue(now)
        families.writeErrors()
        text = families.text
    }
}

/// The families of metrics of all sinks.
private struct SinkFamilies {
    var text: PrometheusText
    let statuses: [SinkStatus]

    private mutating func family(
        _ name: String, _ kind: PrometheusText.Kind, _ help: String,
        _ value: (SinkStatus) -> Double?
    ) {
        text.family("heapwire_sink_\(name)", kind, help)
        for status in statuses {
            guard let value = value(status) else { continue }
            text.sample("heapwire_sink_\(name)", [("sink", status.name)], value)
        }
    }

    private mutating func counter(_ name: String, _ help: String, _ value: (SinkStatus) -> Int) {
        family("\(name)_total", .counter, help) { Double(value($0)) }
    }

    mutating func writeDelivered(_ now: Int64) {
        counter("delivered_requests", "Requests that the backend took") { $0.deliveredRequests }
        counter("delivered_points", "Values in those requests") { $0.deliveredPoints }
        counter("delivered_bytes", "Bytes of those requests") { $0.deliveredBytes }
        counter("retried_requests", "Attempts that failed and are repeated") { $0.retriedRequests }
        family(
            "delivered_cycle_age_seconds", .gauge, "Age of the newest cycle that was delivered"
        ) { $0.newestDeliveredCycle.map { Double(max(0, now &- $0)) / 1_000 } }
    }

    mutating func writeLost() {
        counter(
            "refused_requests",
            "Requests that the backend will never take, set aside with the reason"
        ) { $0.refusedRequests }
        counter("refused_points", "Values in those requests") { $0.refusedPoints }
        counter("dropped_requests", "Requests dropped because the queue was full") {
            $0.droppedRequests
        }
        counter("dropped_points", "Values in those requests") { $0.droppedPoints }
        counter("damaged_records", "Requests on the disk that could not be read") {
            $0.damagedRecords
        }
        counter("skipped_cycles", "Cycles that came faster than they were encoded") {
            $0.skippedCycles
        }
        counter("skipped_late", "Late data where the backend takes none") { $0.skippedLate }
        counter("skipped_amendments", "Changed sums that the backend cannot take") {
            $0.skippedAmendments
        }
        family(
            "missing_cycles", .gauge,
            "Cycles that are in no model any more; an aggregator that led before may have them queued"
        ) { Double($0.missingCycles) }
    }

    mutating func writeQueue(_ now: Int64) {
        counter("file_errors", "File operations of the queue that failed") { $0.fileErrors }
        family("queue_requests", .gauge, "Requests that wait") { Double($0.queuedRequests) }
        family("queue_bytes", .gauge, "Bytes that wait") { Double($0.queuedBytes) }
        family("queue_age_seconds", .gauge, "Age of the oldest cycle that waits") {
            $0.oldestQueuedCycle.map { Double(max(0, now &- $0)) / 1_000 } ?? 0
        }
        family("standby", .gauge, "1 while another aggregator writes to the backend") {
            $0.isStandby ? 1 : 0
        }
    }

    mutating func writeErrors() {
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
