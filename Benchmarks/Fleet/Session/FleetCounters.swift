import Synchronization

/// What the links of one loop have done.
struct FleetCounters: Sendable {
    var connected = 0
    var connects: UInt64 = 0
    var disconnects: UInt64 = 0
    var rejects: [String: Int] = [:]
    var framesSent: UInt64 = 0
    var framesAcknowledged: UInt64 = 0
    var samplesSent: UInt64 = 0
    var samplesAcknowledged: UInt64 = 0
    var bytesSent: UInt64 = 0
    /// Frames that were not sent because the log no longer had them.
    var framesLost: UInt64 = 0
    /// Frames that were acknowledged and that a later welcome does not name.
    var framesForgotten: UInt64 = 0
    var chainsBegun: UInt64 = 0
    /// Steps that this process was too late for: then it is the fleet that is at its limit.
    var stepsSkipped: UInt64 = 0
    /// From the taking of a frame's values to its acknowledgement.
    var latency = LatencyHistogram()

    mutating func merge(_ other: Self) {
        connected += other.connected
        connects += other.connects
        disconnects += other.disconnects
        rejects.merge(other.rejects) { $0 + $1 }
        framesSent += other.framesSent
        framesAcknowledged += other.framesAcknowledged
        samplesSent += other.samplesSent
        samplesAcknowledged += other.samplesAcknowledged
        bytesSent += other.bytesSent
        framesLost += other.framesLost
        framesForgotten += other.framesForgotten
        chainsBegun += other.chainsBegun
        stepsSkipped += other.stepsSkipped
        latency.merge(other.latency)
    }
}

/// Carries a loop's counters to the thread that prints them.
final class PublishedCounters: Sendable {
    private let state = Mutex(FleetCounters())

    func publish(_ counters: FleetCounters) { state.withLock { $0 = counters } }
    var newest: FleetCounters { state.withLock { $0 } }
}

/// A loop's counters while they are counted.
final class CounterBox {
    var counters = FleetCounters()
}
