import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// A request as a parser sees it, without connection or server.
struct ParsedRequest: Equatable {
    var method: HTTPMethod
    var path: String
    var query: String
    var minorVersion: Int
    var keepsAlive: Bool
    var expectsContinue: Bool
    var fieldCount: Int
    var body: [UInt8]
    /// Bytes of the stream that belong to the request.
    var byteCount: Int
}

enum ParseResult: Equatable {
    case complete(ParsedRequest)
    case incomplete
    case refused(HTTPRefusal)
}

/// Feeds `bytes` in the pieces whose ends are given, as a connection does: what was not consumed
/// is offered again with more behind it.
func parse(_ bytes: [UInt8], pieceEnds: [Int], limits: HTTPLimits = HTTPLimits()) -> ParseResult {
    var scanner = HeadScanner()
    var decoder: BodyDecoder?
    let request = HTTPRequest()
    var consumed = 0
    do throws(HTTPRefusal) {
        for end in pieceEnds {
            while true {
                // A copy of its own, so that reading past its end is a fault a sanitizer sees.
                let piece = Array(bytes[consumed..<end])
                if var body = decoder {
                    var count = 0
                    count = try body.consume(piece, limits, request)
                    decoder = body
                    consumed += count
                    if body.isComplete { return complete(request, consumed) }
                    break
                }
                guard let count = try scan(piece, &scanner, limits) else { break }
                try parseHead(Array(piece[..<count]), request)
                consumed += count
                switch request.framing {
                case .none: return complete(request, consumed)
                case .length(let length): decoder = BodyDecoder(contentLength: length)
                case .chunked: decoder = BodyDecoder(chunked: ())
                }
            }
        }
    } catch {
        return .refused(error)
    }
    return .incomplete
}

func parse(_ text: String, limits: HTTPLimits = HTTPLimits()) -> ParseResult {
    let bytes = Array(text.utf8)
    return parse(bytes, pieceEnds: [bytes.count], limits: limits)
}

private func scan(
    _ piece: [UInt8], _ scanner: inout HeadScanner, _ limits: HTTPLimits
) throws(HTTPRefusal) -> Int? {
    let result = piece.withUnsafeBytes { bytes -> Result<HeadScanner.Progress, HTTPRefusal> in
        do throws(HTTPRefusal) {
            return .success(try scanner.scan(bytes, limits: limits))
        } catch {
            return .failure(error)
        }
    }
    guard case .complete(let count) = try result.get() else { return nil }
    return count
}

private func parseHead(_ head: [UInt8], _ request: HTTPRequest) throws(HTTPRefusal) {
    let result = head.withUnsafeBytes { bytes -> Result<Void, HTTPRefusal> in
        do throws(HTTPRefusal) {
            return .success(try request.parse(head: bytes, peer: .loopback(port: 1)))
        } catch {
            return .failure(error)
        }
    }
    try result.get()
}

extension BodyDecoder {
    fileprivate mutating func consume(
        _ piece: [UInt8], _ limits: HTTPLimits, _ request: HTTPRequest
    ) throws(HTTPRefusal) -> Int {
        let result = piece.withUnsafeBytes { bytes -> Result<Int, HTTPRefusal> in
            do throws(HTTPRefusal) {
                return .success(
                    try consume(bytes, limits: limits) { request.append(bodyBytes: $0) })
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

private func complete(_ request: HTTPRequest, _ consumed: Int) -> ParseResult {
    .complete(
        ParsedRequest(
            method: request.method, path: request.rawPath, query: request.rawQuery,
            minorVersion: request.minorVersion, keepsAlive: request.keepsAlive,
            expectsContinue: request.expectsContinue, fieldCount: request.fieldCount,
            body: request.body, byteCount: consumed))
}

/// A head parsed whole; the test fails if it is refused.
func request(_ text: String) throws -> HTTPRequest {
    let request = HTTPRequest()
    try parseHead(Array(text.utf8), request)
    return request
}

func get(_ target: String, _ fields: String = "", method: String = "GET") throws -> HTTPRequest {
    try request("\(method) \(target) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
}
