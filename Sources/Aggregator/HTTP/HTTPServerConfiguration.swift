import WireTLS

/// How much the server gives, and for how long.
struct HTTPServerConfiguration: Sendable {
    /// Event-loop threads. One serves tens of thousands of small requests a second.
    var loopCount = 2
    /// Without it, plain HTTP.
    var tls: TLSFiles?
    /// Worker threads for answers that take long, and how many such answers may wait.
    var workerCount = 2
    var workerQueueCountMax = 64
    /// Above: 503 and close.
    var connectionCountMax = 10_000
    var limits = HTTPLimits()
    /// From the first byte of a request to the end of its head; above: 408. Also how long a new
    /// connection may be silent.
    var headTimeout = Duration.seconds(10)
    /// From the end of the head to the end of the body; above: 408.
    var bodyTimeout = Duration.seconds(30)
    /// Between requests; above: closed.
    var idleTimeout = Duration.seconds(75)
    /// From the request to the answer; above: 503.
    var handlerTimeout = Duration.seconds(60)
    /// In each such time a client must take at least `writeByteCountMin`, or it is cut off.
    var writeTimeout = Duration.seconds(20)
    var writeByteCountMin = 1_024
    /// How long to wait for the client to close after the last answer.
    var lingerTimeout = Duration.seconds(2)
    /// Smaller bodies are not worth compressing.
    var compressedByteCountMin = 1_024

    func validate() {
        precondition(loopCount >= 1 && workerCount >= 1 && workerQueueCountMax >= 1)
        precondition(connectionCountMax >= 1)
        limits.validate()
    }
}

extension Duration {
    /// Whole nanoseconds; nothing negative.
    var nanosecondsClamped: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000)
    }
}
