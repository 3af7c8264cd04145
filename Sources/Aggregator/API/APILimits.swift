/// How much one client may ask of the API; the flags are in `APILimitFlags`.
struct APILimits: Sendable {
    /// Answers that are made by workers or streamed, of one client at once. Above: 429.
    var requestCountMax = 32
    /// Of all clients at once. Above: 503.
    var streamCountMax = 64
    /// Of an answer, before it is compressed. Above: 400, or cut off where it is streamed.
    var responseByteCountMax = 1 << 30
    /// Points that a question about several series may read. Above: 400.
    var pointCountMax = 1_000_000
    /// What one client may push. Above: 429.
    var push = PusherBudget.Limits()
    /// What is kept of it. Above: 422.
    var series = CustomMetrics.Limits()
}
