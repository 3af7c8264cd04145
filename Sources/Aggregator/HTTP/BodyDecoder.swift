/// Takes a message's body out of the byte stream, in pieces of any size (RFC 9112, 6 and 7).
///
/// ```
///  fixed ──all bytes──> complete
///  chunkSize ──n > 0──> chunkData ──n bytes──> chunkEnd ──CR LF──> chunkSize
///      └──0──> trailer ──empty line──> complete
/// ```
/// For requests and responses alike.
struct BodyDecoder {
    private enum State: Equatable {
        case fixed, chunkSize, chunkData, chunkEnd, trailer, complete
    }

    private var state: State
    /// Bytes missing from the fixed body or the current chunk.
    private var remaining: Int
    private var trailerByteCount = 0
    private var trailerCount = 0
    /// Decoded bytes so far.
    private(set) var byteCount = 0

    var isComplete: Bool { state == .complete }

    /// A body of known length.
    init(contentLength: Int) {
        state = contentLength == 0 ? .complete : .fixed
        remaining = contentLength
    }

    /// A chunked body.
    init(chunked: Void) {
        state = .chunkSize
        remaining = 0
    }

    /// Consumes as much as it can. Returns how many bytes; a line that has not ended yet is left
    /// and must be offered again with more behind it.
    mutating func consume(
        _ bytes: UnsafeRawBufferPointer, limits: HTTPLimits,
        _ data: (UnsafeRawBufferPointer) -> Void
    ) throws(HTTPRefusal) -> Int {
        var position = 0
        while state != .complete {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            let count: Int?
            switch state {
            case .fixed, .chunkData: count = try takeData(rest, limits, data)
            case .chunkEnd: count = try takeChunkEnd(rest)
            case .chunkSize: count = try takeChunkSize(rest, limits)
            case .trailer: count = try takeTrailer(rest, limits)
            case .complete: count = nil
            }
            guard let count else { break }
            position &+= count
        }
        return position
    }

    private mutating func takeData(
        _ bytes: UnsafeRawBufferPointer, _ limits: HTTPLimits,
        _ data: (UnsafeRawBufferPointer) -> Void
    ) throws(HTTPRefusal) -> Int? {
        let count = min(remaining, bytes.count)
        guard count > 0 else { return nil }
        guard count <= limits.bodyByteCountMax &- byteCount else { throw Self.tooLarge }
        data(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        byteCount &+= count
        remaining &-= count
        if remaining == 0 { state = state == .fixed ? .complete : .chunkEnd }
        return count
    }

    private mutating func takeChunkEnd(_ bytes: UnsafeRawBufferPointer) throws(HTTPRefusal) -> Int?
    {
        if let first = bytes.first, first != 0x0D { throw Self.malformed }
        guard bytes.count >= 2 else { return nil }
        guard bytes[1] == 0x0A else { throw Self.malformed }
        state = .chunkSize
        return 2
    }

    private mutating func takeChunkSize(
        _ bytes: UnsafeRawBufferPointer, _ limits: HTTPLimits
    ) throws(HTTPRefusal) -> Int? {
        guard let end = try Self.lineEnd(bytes, limit: limits.chunkLineByteCountMax) else {
            return nil
        }
        var size = 0
        var position = 0
        while position < end, let digit = HTTPSyntax.hexDigit(bytes[position]) {
            // 15 digits cannot overflow; nobody sends a chunk of 2^60 bytes.
            guard position < 15 else { throw Self.malformed }
            size = size << 4 | Int(digit)
            position &+= 1
        }
        guard position > 0, position == end || bytes[position] == 0x3B else {
            throw Self.malformed
        }
        for index in position..<end where !HTTPSyntax.isFieldValue(bytes[index]) {
            throw Self.malformed
        }
        guard size <= limits.bodyByteCountMax &- byteCount else { throw Self.tooLarge }
        remaining = size
        state = size == 0 ? .trailer : .chunkData
        return end &+ 2
    }

    /// Trailer fields are checked like any others and then forgotten.
    private mutating func takeTrailer(
        _ bytes: UnsafeRawBufferPointer, _ limits: HTTPLimits
    ) throws(HTTPRefusal) -> Int? {
        let limit = Self.trailerByteCountMax &- trailerByteCount
        let end: Int?
        do throws(HTTPRefusal) {
            end = try Self.lineEnd(bytes, limit: limit)
        } catch {
            guard bytes.count > limit else { throw error }
            throw HTTPRefusal(.fieldsTooLarge, "trailer fields too large")
        }
        guard let end else { return nil }
        if end == 0 {
            state = .complete
            return 2
        }
        _ = try FieldLine(bytes, 0, end)
        trailerByteCount &+= end &+ 2
        trailerCount &+= 1
        if trailerCount > limits.fieldCountMax {
            throw HTTPRefusal(.fieldsTooLarge, "too many trailer fields")
        }
        return end &+ 2
    }

    /// Where the first line's CR is; nil when its end has not come yet.
    private static func lineEnd(
        _ bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(HTTPRefusal) -> Int? {
        let searched = min(bytes.count, limit &+ 2)
        for index in 0..<max(0, searched) where bytes[index] == 0x0A {
            guard index > 0, bytes[index &- 1] == 0x0D else { throw malformed }
            return index &- 1
        }
        if searched < bytes.count || searched >= limit &+ 2 { throw malformed }
        return nil
    }

    /// Nothing here uses trailers. A line that is not complete is looked at again with every
    /// piece, so this also bounds what feeding it byte by byte can cost.
    private static let trailerByteCountMax = 4_096

    private static let malformed = HTTPRefusal(.badRequest, "malformed chunked body")
    private static let tooLarge = HTTPRefusal(.contentTooLarge, "body too large")
}
