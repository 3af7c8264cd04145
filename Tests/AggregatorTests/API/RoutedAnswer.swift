@testable import Aggregator

/// What a router answers, without a server.
struct RoutedAnswer {
    var response: HTTPResponse
    let body: [UInt8]
    var status: HTTPStatus { response.status }

    init(_ router: Router, _ request: HTTPRequest) {
        switch router.route(request) {
        case .refusal(let refusal): response = refusal
        case .handler(let handler):
            switch handler(request) {
            case .now(let answer): response = answer
            case .onWorker(let work): response = work(request)
            case .later: preconditionFailure("no route of these answers later")
            }
        }
        var body: [UInt8] = []
        switch response.body {
        case .none: break
        case .bytes(let bytes): body = bytes
        case .text(let text):
            body = Array(
                UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        case .stream(let producer), .slowStream(let producer):
            var isMore = true
            while isMore {
                var piece: [UInt8] = []
                isMore = producer.produce(into: &piece)
                body += piece
            }
        }
        response.body = .none
        self.body = body
    }

    init(_ router: Router, _ target: String) throws { self.init(router, try get(target)) }
}
