import Glibc

/// Finds where a head ends, in pieces of any size, looking at every byte once.
///
/// For requests and responses alike. Lines end in CR LF; a bare LF is refused because others
/// may see an end of line there where we do not (RFC 9112, 2.2 allows the refusal).
struct HeadScanner {
    enum Progress: Equatable {
        case needsMore
        /// The head's length including the empty line.
        case complete(byteCount: Int)
    }

    /// Bytes from the front that were looked at, and where the unfinished line begins.
    private var scanned = 0
    private var lineStart = 0
    private var lineCount = 0

    /// - Parameter bytes: the message from its first byte; what was there at the last call must
    ///   still be there, the address may differ.
    mutating func scan(
        _ bytes: UnsafeRawBufferPointer, limits: HTTPLimits
    ) throws(HTTPRefusal) -> Progress {
        guard let base = bytes.baseAddress else { return .needsMore }
        while scanned < bytes.count {
            guard let found = memchr(base + scanned, 0x0A, bytes.count &- scanned) else { break }
            let end = base.distance(to: UnsafeRawPointer(found))
            scanned = end &+ 1
            guard end > lineStart, bytes[end &- 1] == 0x0D else {
                throw HTTPRefusal(.badRequest, "line ends without CR")
            }
            let isEmpty = end &- 1 == lineStart
            if lineCount == 0, end &- 1 > limits.requestLineByteCountMax {
                throw HTTPRefusal(.uriTooLong, "request line too long")
            }
            if scanned > limits.headByteCountMax {
                throw HTTPRefusal(.fieldsTooLarge, "header fields too large")
            }
            if isEmpty { return .complete(byteCount: scanned) }
            lineStart = scanned
            lineCount &+= 1
            if lineCount > limits.fieldCountMax &+ 1 {
                throw HTTPRefusal(.fieldsTooLarge, "too many header fields")
            }
        }
        scanned = bytes.count
        if lineCount == 0, scanned > limits.requestLineByteCountMax &+ 1 {
            throw HTTPRefusal(.uriTooLong, "request line too long")
        }
        if scanned > limits.headByteCountMax {
            throw HTTPRefusal(.fieldsTooLarge, "header fields too large")
        }
        return .needsMore
    }
}

/// One `name: value` line of a head or a trailer.
struct FieldLine: Equatable {
    let name: HTTPSyntax.Extent
    /// Without the white space around it.
    let value: HTTPSyntax.Extent

    /// Reads the line `start..<end` of `bytes`, its CR LF left out.
    ///
    /// - Throws: 400 for an empty name, space before the colon, a folded line, a control byte.
    init(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) throws(HTTPRefusal) {
        var position = start
        while position < end, HTTPSyntax.isToken(bytes[position]) { position &+= 1 }
        guard position > start else {
            let isFold = start < end && (bytes[start] == 0x20 || bytes[start] == 0x09)
            throw HTTPRefusal(
                .badRequest, isFold ? "folded header field" : "malformed header field name")
        }
        guard position < end, bytes[position] == 0x3A else {
            throw HTTPRefusal(.badRequest, "malformed header field name")
        }
        name = HTTPSyntax.Extent(start, position)
        var first = position &+ 1
        var last = end
        while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first &+= 1 }
        while last > first, bytes[last &- 1] == 0x20 || bytes[last &- 1] == 0x09 { last &-= 1 }
        for index in first..<last where !HTTPSyntax.isFieldValue(bytes[index]) {
            throw HTTPRefusal(.badRequest, "control byte in header field")
        }
        value = HTTPSyntax.Extent(first, last)
    }
}
