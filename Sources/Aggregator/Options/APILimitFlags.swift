import Wire

/// How much the API gives: to a request, to a client, to all together. Each refusal names its flag.
struct APILimitFlags: Sendable {
    var server = HTTPServerConfiguration()
    var limits = APILimits()

    static let flags: [Flag] = [
        Flag(
            "api-max-uri-bytes", "BYTES", default: "8Ki",
            "The first line of a request to the API, 256 to 32Ki. Above: 414."),
        Flag(
            "api-max-header-bytes", "BYTES", default: "32Ki",
            "That line and all header fields, 1Ki to 65535; at most 100 fields. Above: 431."),
        Flag(
            "api-max-body-bytes", "BYTES", default: "4Mi",
            "A request's body, 1Ki to 256Mi. Above: 413."),
        Flag(
            "api-max-connections", "COUNT", default: "10000",
            "Connections to the API that may be open at once. Above: 503."),
        Flag(
            "api-request-timeout", "DURATION", default: "60s",
            "From a request to its answer, 1s to 1h. Above: 503."),
        Flag(
            "api-max-requests-per-client", "COUNT", default: "32",
            "Answers in work or being streamed for one client at once: for one user, or one address "
                + "where nobody has to say who it is. What is answered at once is not counted. "
                + "Above: 429."),
        Flag(
            "api-max-streams", "COUNT", default: "64",
            "Large answers (scrapes, lists, exports) that are sent at once. Above: 503."),
        Flag(
            "api-max-response-bytes", "BYTES", default: "1Gi",
            "An answer before it is compressed, 64Ki to 1Ti. Above: 400; what is streamed is cut off, "
                + "because its length is not known before."),
        Flag(
            "api-max-points", "COUNT", default: "1000000",
            "Points that a question of the historical API, or about a list of pods, may read. "
                + "Above: 400."),
        Flag(
            "push-requests-per-second", "COUNT", default: "10",
            "Requests that one client may push, with bursts of five seconds' worth. Above: 429."),
        Flag(
            "push-samples-per-second", "COUNT", default: "20000",
            "Samples that one client may push, with the same bursts. Above: 429."),
        Flag(
            "push-max-series", "COUNT", default: "100000",
            "Pushed series that are kept, of all clients. Above: 422."),
        Flag(
            "push-max-series-per-pod", "COUNT", default: "500",
            "Pushed series that are kept of one pod. Above: 422."),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        server.limits.requestLineByteCountMax =
            line.bytes("api-max-uri-bytes", in: 256...32_768)
            ?? server.limits.requestLineByteCountMax
        server.limits.headByteCountMax =
            line.bytes("api-max-header-bytes", in: 1_024...65_535)
            ?? server.limits.headByteCountMax
        if server.limits.requestLineByteCountMax > server.limits.headByteCountMax {
            line.report(
                "--api-max-uri-bytes is more than --api-max-header-bytes, which includes it")
            server.limits = HTTPLimits()
        }
        server.limits.bodyByteCountMax =
            line.bytes("api-max-body-bytes", in: 1_024...256 << 20)
            ?? server.limits.bodyByteCountMax
        server.connectionCountMax =
            line.integer("api-max-connections", in: 1...1_000_000) ?? server.connectionCountMax
        if let timeout = line.milliseconds("api-request-timeout", in: 1_000...3_600_000) {
            server.handlerTimeout = .milliseconds(timeout)
        }
        limits.requestCountMax =
            line.integer("api-max-requests-per-client", in: 1...100_000) ?? limits.requestCountMax
        limits.streamCountMax =
            line.integer("api-max-streams", in: 1...100_000) ?? limits.streamCountMax
        limits.responseByteCountMax =
            line.bytes("api-max-response-bytes", in: 65_536...1 << 40)
            ?? limits.responseByteCountMax
        limits.pointCountMax =
            line.integer("api-max-points", in: 1...1_000_000_000) ?? limits.pointCountMax
        if let count = line.integer("push-requests-per-second", in: 1...1_000_000) {
            limits.push.requestsPerSecond = Double(count)
        }
        if let count = line.integer("push-samples-per-second", in: 1...100_000_000) {
            limits.push.samplesPerSecond = Double(count)
        }
        limits.series.seriesCount =
            line.integer("push-max-series", in: 1...100_000_000) ?? limits.series.seriesCount
        limits.series.seriesCountPerPod =
            line.integer("push-max-series-per-pod", in: 1...1_000_000)
            ?? limits.series.seriesCountPerPod
    }
}
