/// Says with every answer from the model how many nodes it was made of.
struct Completeness: Sendable {
    let cluster: Cluster

    /// Nodes that report, and nodes that are expected to: `4998/5000`.
    static let fieldName: StaticString = "X-Heapwire-Nodes"

    /// Adds the field to answers below `/api/` and `/apis/`.
    func describe(_ answer: HTTPAnswer, to request: HTTPRequest) -> HTTPAnswer {
        guard let counts = cluster.presence.counts, Self.isFromModel(request) else { return answer }
        let field = HTTPField(Self.fieldName, "\(counts.reporting)/\(counts.expected)")
        switch answer {
        case .now(var response):
            response.fields.append(field)
            return .now(response)
        case .onWorker(let work):
            return .onWorker { request in
                var response = work(request)
                response.fields.append(field)
                return response
            }
        case .later:
            // No handler of the model answers later.
            return answer
        }
    }

    private static func isFromModel(_ request: HTTPRequest) -> Bool {
        let path = request.bytes(request.pathRange)
        return ["/api/", "/apis/"].contains { prefix in path.starts(with: prefix.utf8) }
    }
}
