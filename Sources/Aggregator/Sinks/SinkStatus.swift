/// How a sink is doing: what `/metrics` and `/api/v1/sinks` show.
struct SinkStatus: Sendable, Equatable {
    var name = ""
    /// Kind and address, without secrets.
    var target = ""
    var deliveredRequests = 0
    var deliveredPoints = 0
    var deliveredBytes = 0
    /// Attempts that failed and will be repeated.
    var retriedRequests = 0
    /// What the backend will never take, in the dead-letter file.
    var refusedRequests = 0
    var refusedPoints = 0
    /// Dropped because the queue was full.
    var droppedRequests = 0
    var droppedPoints = 0
    /// Cycles that came faster than they could be encoded.
    var skippedCycles = 0
    /// Amendments that this sink cannot take.
    var skippedAmendments = 0
    /// Batches that came after their time, where the backend takes no such points.
    var skippedLate = 0
    var damagedRecords = 0
    var fileErrors = 0
    var queuedRequests = 0
    var queuedBytes = 0
    /// The oldest cycle that waits, milliseconds since the epoch.
    var oldestQueuedCycle: Int64?
    /// The newest cycle of which a request was delivered.
    var newestDeliveredCycle: Int64?
    /// The last failure in words, and when it was, milliseconds since the epoch.
    var lastError: String?
    var lastErrorTime: Int64?
    /// Whether the last attempt failed.
    var isFailing = false
    /// Whether another aggregator writes to the backend (`--leader-elect`).
    var isStandby = false
    /// Cycles that no aggregator that led since could hand on.
    var missingCycles = 0

    /// As an object of JSON.
    ///
    /// - Parameter leaseHolder: which of several aggregators writes; `nil` where there is no election.
    func write(to json: inout JSONWriter, leaseHolder: String? = nil) {
        json.beginObject()
        json.key("name")
        json.string(name)
        json.key("target")
        json.string(target)
        json.key("failing")
        json.boolean(isFailing)
        json.key("standby")
        json.boolean(isStandby)
        if let leaseHolder {
            json.key("leaseHolder")
            json.string(leaseHolder)
        }
        for (key, value) in numbers {
            json.key(key)
            json.integer(Int64(value))
        }
        if let oldestQueuedCycle {
            json.key("oldestQueuedCycle")
            json.time(milliseconds: oldestQueuedCycle)
        }
        if let newestDeliveredCycle {
            json.key("newestDeliveredCycle")
            json.time(milliseconds: newestDeliveredCycle)
        }
        if let lastError {
            json.key("lastError")
            json.string(lastError)
        }
        if let lastErrorTime {
            json.key("lastErrorTime")
            json.time(milliseconds: lastErrorTime)
        }
        json.endObject()
    }

    /// All counts under their names in JSON.
    var numbers: [(String, Int)] {
        [
            ("deliveredRequests", deliveredRequests), ("deliveredPoints", deliveredPoints),
            ("deliveredBytes", deliveredBytes), ("retriedRequests", retriedRequests),
            ("refusedRequests", refusedRequests), ("refusedPoints", refusedPoints),
            ("droppedRequests", droppedRequests), ("droppedPoints", droppedPoints),
            ("skippedCycles", skippedCycles), ("skippedAmendments", skippedAmendments),
            ("skippedLate", skippedLate), ("missingCycles", missingCycles),
            ("damagedRecords", damagedRecords), ("fileErrors", fileErrors),
            ("queuedRequests", queuedRequests), ("queuedBytes", queuedBytes),
        ]
    }
}
