import Wire

/// Where sampled values become frames, and frames wait for every aggregator: the encoder, the ring
/// and what each aggregator has of it. Pure; belongs to one thread.
///
/// A frame is encoded once, whatever the number of aggregators. Appending allocates nothing unless the
/// dictionary changes.
final class Outbox {
    let encoder: FrameEncoder
    let ring: ResendRing
    /// By aggregator, in the order of the flags.
    private(set) var deliveries: [DeliveryState]
    private let keys: KeySpacing
    private var framesSinceKey = 0
    /// Bytes of the frames after the last key frame, and of that.
    private var bytesSinceKey = 0
    private var keyByteCount = 0
    private var mustBeKey = true
    private var mustRestartDictionary: Bool
    private var subjectsScratch: [UInt8] = []
    private var payloadScratch: [UInt8] = []
    private var frameScratch: [UInt8] = []

    /// When key frames are made beyond those that a connection asks for.
    struct KeySpacing: Sendable, Equatable {
        /// Frames from one key frame to the next.
        var frames = 300
        /// The same while an aggregator is away: frames are evicted up to the next key frame, so a
        /// full ring then loses little at a time.
        var framesWhileAway = 60
        /// What is settled stays so long, for an aggregator that restarts with nothing.
        var retentionMilliseconds: Int64 = 600_000
    }

    /// - Parameters:
    ///   - ring: empty, or restored from a spool; then the dictionary starts anew.
    init(
        ring: ResendRing, deliveries: [DeliveryState], keys: KeySpacing = KeySpacing(),
        limits: WireLimits = WireLimits()
    ) {
        self.ring = ring
        self.deliveries = deliveries
        self.keys = keys
        encoder = FrameEncoder(limits: limits)
        mustRestartDictionary = ring.next > 1
    }

    /// Makes a frame of the encoder's rows.
    ///
    /// - Parameters:
    ///   - changes: what the encoder was told since the last frame, in that order.
    ///   - readDelay: milliseconds from the step to the beginning of reading.
    /// - Returns: its sequence.
    @discardableResult
    func append(step: Int64, readDelay: Int64, changes: [SubjectChange]) -> UInt64 {
        let sequence = ring.next
        let isKey = isKeyDue
        subjectsScratch.removeAll(keepingCapacity: true)
        payloadScratch.removeAll(keepingCapacity: true)
        frameScratch.removeAll(keepingCapacity: true)
        if !changes.isEmpty { DictionarySnapshot.encode(changes, into: &subjectsScratch) }
        let header = FrameHeader(
            sequence: sequence, stepMilliseconds: step, readDelayMilliseconds: readDelay,
            isKey: isKey)
        encoder.encode(header, into: &payloadScratch)
        payloadScratch.withUnsafeBytes {
            Record.encode(type: .frame, payload: $0, into: &frameScratch)
        }
        settle()
        ring.evictSettled(before: step &- keys.retentionMilliseconds)
        let isStored = subjectsScratch.withUnsafeBytes { subjects in
            frameScratch.withUnsafeBytes { frame in
                ring.append(
                    subjects: subjects, frame: frame, step: step, isKey: isKey,
                    restartsDictionary: mustRestartDictionary)
            }
        }
        mustBeKey = !isStored
        mustRestartDictionary = false
        if isKey { keyByteCount = frameScratch.count }
        framesSinceKey = isKey ? 1 : framesSinceKey + 1
        bytesSinceKey = isKey ? 0 : bytesSinceKey + subjectsScratch.count + frameScratch.count
        for index in deliveries.indices {
            deliveries[index].appended(sequence, isKey: isKey, ring: ring)
            _ = deliveries[index].noteEvictions(ring)
        }
        return sequence
    }

    /// Makes the next frame a key frame.
    func requestKey() { mustBeKey = true }

    private var isKeyDue: Bool {
        if mustBeKey || framesSinceKey >= keys.frames { return true }
        if deliveries.contains(where: { $0.wantsKey(ring) }) { return true }
        if deliveries.allSatisfy(\.isStreaming) { return false }
        return framesSinceKey >= keys.framesWhileAway
            || bytesSinceKey >= max(ring.capacity / 16, 2 * keyByteCount)
    }

    /// Lets the ring know what every aggregator has.
    func settle() {
        // No array: this is called at every step.
        var end: UInt64?
        for delivery in deliveries {
            let own = delivery.settledEnd(ring)
            end = min(end ?? own, own)
        }
        ring.settledEnd = end ?? ring.next
    }

    /// Gives access to one aggregator's state.
    func withDelivery<Result>(
        _ index: Int, _ body: (inout DeliveryState, ResendRing) -> Result
    ) -> Result {
        body(&deliveries[index], ring)
    }
}
