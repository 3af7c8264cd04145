/// Times and bounds of delivery to one aggregator.
struct DeliverySettings: Sendable, Equatable {
    /// For the look-up of the name and one address, then for each further address.
    var connectNanoseconds: UInt64 = 5_000_000_000
    /// From the connection to the welcome.
    var greetingNanoseconds: UInt64 = 10_000_000_000
    /// A connection on which frames wait so long for an acknowledgement is taken for dead.
    var acknowledgementNanoseconds: UInt64 = 10_000_000_000
    /// A connection that has lasted so long makes the next back-off start anew.
    var stableNanoseconds: UInt64 = 10_000_000_000
    /// A backlog up to so many bytes goes before the present, in order: that is quicker than to begin
    /// a chain with a key frame.
    var catchUpByteCount = 64 << 10
    /// The time between two frames of the backlog. By default a sixteenth of a step: an outage is made
    /// up for in a sixteenth of its length.
    var backlogIntervalNanoseconds: UInt64 = 62_500_000
    /// Backlog frames that may go at once after a pause.
    var backlogBurst: UInt64 = 4
    /// Frames sent but not acknowledged, beyond which the backlog waits.
    var inFlightFrameMax: UInt64 = 64

    /// - Parameter step: nanoseconds between frames.
    mutating func setStep(nanoseconds step: UInt64) { backlogIntervalNanoseconds = step / 16 }
}
