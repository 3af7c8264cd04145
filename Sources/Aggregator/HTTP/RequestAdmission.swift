import Synchronization

/// Lets requests that take a worker's time or a stream in only up to a number for each client, and
/// streams up to one for all; an answer may have so many bytes. What is answered at once is not counted.
final class RequestAdmission: Sendable {
    private let clients: ClientQuota
    private let streamCountMax: Int
    /// Of an answer, before it is compressed.
    private let byteCountMax: Int
    private let streams = Atomic<Int>(0)
    private let refused = Atomic<UInt64>(0)

    init(clientCountMax: Int, streamCountMax: Int, byteCountMax: Int = .max) {
        clients = ClientQuota(countMax: clientCountMax)
        self.streamCountMax = streamCountMax
        self.byteCountMax = byteCountMax
    }

    /// Requests that were told to wait.
    var refusals: UInt64 { refused.load(ordering: .relaxed) }

    /// A place that is free again when the last who holds it lets go.
    private final class Place: Sendable {
        private let free: @Sendable () -> Void
        init(_ free: @escaping @Sendable () -> Void) { self.free = free }
        deinit { free() }
    }

    /// The answer of a route, or that the client has to wait.
    func admit(_ request: HTTPRequest, _ answer: HTTPAnswer) -> HTTPAnswer {
        switch answer {
        case .later: return answer
        case .now(let response):
            guard case .slowStream = response.body else { return .now(bounded(response)) }
            guard let place = enter(request) else { return .now(tooMany(request)) }
            return .now(stream(response, place))
        case .onWorker(let work):
            guard let place = enter(request) else { return .now(tooMany(request)) }
            return .onWorker { [self] request in
                let response = work(request)
                guard case .slowStream = response.body else {
                    return withExtendedLifetime(place) { bounded(response) }
                }
                return stream(response, place)
            }
        }
    }

    private func enter(_ request: HTTPRequest) -> Place? {
        let client = request.client
        guard clients.enter(client) else {
            refused.add(1, ordering: .relaxed)
            return nil
        }
        return Place { [clients] in clients.leave(client) }
    }

    private func stream(_ response: HTTPResponse, _ place: Place) -> HTTPResponse {
        guard case .slowStream(let producer) = response.body else { return response }
        guard streams.add(1, ordering: .relaxed).newValue <= streamCountMax else {
            streams.subtract(1, ordering: .relaxed)
            refused.add(1, ordering: .relaxed)
            return .tooMuch(
                .serviceUnavailable,
                "\(streamCountMax) large answers are being sent, which is all that "
                    + "--api-max-streams allows; ask again")
        }
        let own = Place { [self] in streams.subtract(1, ordering: .relaxed) }
        var admitted = response
        admitted.body = .slowStream(
            AdmittedProducer(producer, [place, own], byteCountMax: byteCountMax))
        return admitted
    }

    /// An answer that needs no place, unless it is too large.
    private func bounded(_ response: HTTPResponse) -> HTTPResponse {
        switch response.body {
        case .none, .text, .slowStream: return response
        case .bytes(let bytes):
            guard bytes.count > byteCountMax else { return response }
            return .text(
                .badRequest,
                "the answer has \(bytes.count) bytes, more than --api-max-response-bytes allows "
                    + "(\(byteCountMax)); ask for less at once\n")
        case .stream(let producer):
            var response = response
            response.body = .stream(AdmittedProducer(producer, [], byteCountMax: byteCountMax))
            return response
        }
    }

    private func tooMany(_ request: HTTPRequest) -> HTTPResponse {
        .tooMuch(
            .tooManyRequests,
            "\(clients.countMax) requests of this \(request.client.word) are in work, which is all "
                + "that --api-max-requests-per-client allows; wait for an answer first")
    }

    /// A producer with its places, which gives up when it made too much: the client, which has the
    /// head already, is cut off.
    private final class AdmittedProducer: HTTPBodyProducer, @unchecked Sendable {
        // One thread at a time, as the protocol says.
        private let source: any HTTPBodyProducer
        private let places: [Place]
        private var byteCountLeft: Int

        init(_ source: any HTTPBodyProducer, _ places: [Place], byteCountMax: Int) {
            self.source = source
            self.places = places
            byteCountLeft = byteCountMax
        }

        func produce(into piece: inout [UInt8]) -> Bool {
            let before = piece.count
            let hasMore = source.produce(into: &piece)
            byteCountLeft -= piece.count - before
            return hasMore && byteCountLeft >= 0
        }

        var hasFailed: Bool { byteCountLeft < 0 || source.hasFailed }
    }
}

extension HTTPResponse {
    /// A refusal that passes by itself.
    static func tooMuch(_ status: HTTPStatus, _ words: String) -> HTTPResponse {
        var response = HTTPResponse.text(status, words + "\n")
        response.retry(afterSeconds: 1)
        return response
    }
}
