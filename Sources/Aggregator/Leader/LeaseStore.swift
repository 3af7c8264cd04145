import Wire

/// What a candidate asks.
enum LeaseQuestion: Equatable, Sendable {
    case get
    case create(LeaseRecord)
    /// Holds only for this version.
    case update(LeaseRecord, resourceVersion: String)
}

enum LeaseAnswer: Equatable, Sendable {
    case lease(StoredLease)
    case absent
    /// With the new version.
    case stored(resourceVersion: String)
    /// Another wrote meanwhile.
    case conflict
    /// It may or may not have been done. With words for people.
    case failed(String)
}

/// Where the Lease is.
protocol LeaseStore: Sendable {
    /// Blocks for a few seconds at most.
    func answer(_ question: LeaseQuestion) -> LeaseAnswer
}

/// The apiserver.
struct APIServerLeaseStore: LeaseStore {
    let client: APIServerClient
    let name: String
    let namespace: String

    static func purpose(_ verb: String, namespace: String) -> APIServerClient.Purpose {
        APIServerClient.Purpose(
            verb: verb, group: "coordination.k8s.io", resource: "leases", namespace: namespace)
    }

    private var collection: String {
        "/apis/coordination.k8s.io/v1/namespaces/\(PercentEncoding.encoded(namespace))/leases"
    }
    private var path: String { "\(collection)/\(PercentEncoding.encoded(name))" }

    func answer(_ question: LeaseQuestion) -> LeaseAnswer {
        do throws(SourceError) {
            switch question {
            case .get:
                return .lease(try send(HTTPClientRequest(.get, path), nil, verb: "get"))
            case .create(let record):
                let body = record.object(name: name, namespace: namespace)
                return stored(
                    try send(
                        HTTPClientRequest(.post, collection), (body, "application/json"),
                        verb: "create"))
            case .update(let record, let version):
                let body = record.patch(resourceVersion: version)
                return stored(
                    try send(
                        HTTPClientRequest(.patch, path), (body, "application/merge-patch+json"),
                        verb: "patch"))
            }
        } catch {
            switch (error, question) {
            case (.status(_, 404, _, _), .get), (.status(_, 404, _, _), .update):
                return .absent
            case (.status(_, 409, _, _), _): return .conflict
            default: return .failed("\(error)")
            }
        }
    }

    private func stored(_ lease: StoredLease) -> LeaseAnswer {
        .stored(resourceVersion: lease.resourceVersion)
    }

    private func send(
        _ request: HTTPClientRequest, _ body: (bytes: [UInt8], type: String)?, verb: String
    ) throws(SourceError) -> StoredLease {
        var request = request
        request.fields = [(name: "Accept", value: "application/json")]
        if let body {
            request.fields.append((name: "Content-Type", value: body.type))
            request.body = body.bytes
        }
        let answer = try client.send(request, Self.purpose(verb, namespace: namespace))
        do throws(JSONError) {
            return try answer.span.bytes.withUnsafeBytes { bytes throws(JSONError) in
                try StoredLease(parsing: bytes)
            }
        } catch {
            throw .list(url: path, .json(error))
        }
    }
}
