import Wire

/// A backend to which a request is one POST, always to the same path.
struct PostBackend: HTTPSinkBackend {
    var target: String
    var fields: [(name: String, value: String)]
    var credentials: HTTPCredentials = .none
    /// What an answer means, where its status is not enough.
    var verdict: @Sendable (HTTPClientAnswer, SinkRequest) -> DeliveryOutcome = { response, _ in
        HTTPVerdict.byStatus(response)
    }
    /// A body without any point, which the server takes or refuses as it would another; `nil`
    /// where it takes none.
    var emptyBody: [UInt8]?

    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer? {
        guard let emptyBody else { return nil }
        return try exchange(
            httpRequest(for: SinkRequest(cycle: 0, pointCount: 0, body: emptyBody)))
    }

    func judge(_ response: HTTPClientAnswer, _ request: SinkRequest) -> DeliveryOutcome {
        verdict(response, request)
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPClientRequest {
        HTTPClientRequest(
            .post, target, fields: try credentials.fields() + fields, body: request.body)
    }
}
