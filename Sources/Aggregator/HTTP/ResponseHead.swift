import Wire

/// How the end of a response's body is told.
enum ResponseFraming: Equatable {
    /// No body and no field about it (1xx, 204, 304).
    case none
    case length(Int)
    case chunked
    /// HTTP/1.0 knows no chunks: the connection's end is the body's.
    case close
}

/// Composes a response's head straight into the output.
struct ResponseHead {
    let response: HTTPResponse
    let framing: ResponseFraming
    let coding: HTTPNegotiation.ContentCoding
    /// Whether another client might be given another coding of the same.
    let varies: Bool
    let keepsAlive: Bool
    let minorVersion: Int

    /// Appends the head. False when the output's limit does not allow it.
    func write(to output: inout ByteQueue, date: HTTPDate) -> Bool {
        guard let room = output.room(forAtLeast: byteCountMax) else { return false }
        var cursor = ByteCursor(room)
        cursor.append(literal: "HTTP/1.1 ")
        cursor.append(decimal: response.status.code)
        cursor.append(literal: " ")
        cursor.append(literal: response.status.reasonPhrase)
        cursor.append(literal: "\r\n")
        cursor.append(date.line)
        if let contentType = response.contentType {
            cursor.append(literal: "Content-Type: ")
            cursor.append(literal: contentType)
            cursor.append(literal: "\r\n")
        }
        switch framing {
        case .none, .close: break
        case .length(let count):
            cursor.append(literal: "Content-Length: ")
            cursor.append(decimal: count)
            cursor.append(literal: "\r\n")
        case .chunked: cursor.append(literal: "Transfer-Encoding: chunked\r\n")
        }
        switch coding {
        case .identity: break
        case .gzip: cursor.append(literal: "Content-Encoding: gzip\r\n")
        case .deflate: cursor.append(literal: "Content-Encoding: deflate\r\n")
        }
        if varies { cursor.append(literal: "Vary: Accept-Encoding\r\n") }
        if !keepsAlive {
            cursor.append(literal: "Connection: close\r\n")
        } else if minorVersion == 0 {
            cursor.append(literal: "Connection: keep-alive\r\n")
        }
        for field in response.fields {
            cursor.append(literal: field.name)
            cursor.append(literal: ": ")
            cursor.append(field.value)
            cursor.append(literal: "\r\n")
        }
        cursor.append(literal: "\r\n")
        output.commit(cursor.count)
        return true
    }

    /// At least what `write` needs: its fixed parts come to less than 300.
    private var byteCountMax: Int {
        var sum = 320 + (response.contentType?.utf8CodeUnitCount ?? 0)
        for field in response.fields {
            sum += field.name.utf8CodeUnitCount + field.value.utf8.count + 4
        }
        return sum
    }
}

/// Writes forward through memory of known size; going past it is our fault and stops the process.
struct ByteCursor: ByteSink {
    private let room: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

    mutating func append(_ byte: UInt8) {
        precondition(count < room.count)
        room[count] = byte
        count &+= 1
    }

    var capacity: Int { room.count }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { copy(bytes) }

    mutating func append(literal text: StaticString) {
        copy(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { copy($0) } }

    mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    mutating func append(decimal number: Int) {
        precondition(number >= 0)
        append(digitsOf: UInt64(number))
    }

    mutating func append(digitsOf number: UInt64) {
        precondition(count &+ 20 <= room.count)
        var end = count &+ Self.digitCount(number)
        count = end
        var rest = number
        while rest >= 100 {
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            rest = quotient
            end &-= 2
            store(pair, at: end)
        }
        if rest >= 10 {
            store(rest, at: end &- 2)
        } else {
            room[end &- 1] = 0x30 &+ UInt8(truncatingIfNeeded: rest)
        }
    }

    /// Two digits at a time: half as many divisions, each of which waits for the one before.
    @inline(__always)
    private func store(_ pair: UInt64, at index: Int) {
        let (tens, ones) = pair.quotientAndRemainder(dividingBy: 10)
        room[index] = 0x30 &+ UInt8(truncatingIfNeeded: tens)
        room[index &+ 1] = 0x30 &+ UInt8(truncatingIfNeeded: ones)
    }

    @inline(__always)
    static func digitCount(_ number: UInt64) -> Int {
        var limit: UInt64 = 10
        var digits = 1
        while number >= limit {
            digits &+= 1
            if digits == 20 { break }
            limit &*= 10
        }
        return digits
    }

    /// Lower-case hexadecimal, for chunk sizes.
    mutating func append(hexadecimal number: Int) {
        precondition(number >= 0)
        var shift = 60
        while shift > 0, number >> shift == 0 { shift &-= 4 }
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: number >> shift & 15)
            append(digit < 10 ? 0x30 &+ digit : 0x57 &+ digit)
            shift &-= 4
        }
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= room.count &- count)
        guard let source = bytes.baseAddress, let target = room.baseAddress else { return }
        (target + count).copyMemory(from: source, byteCount: bytes.count)
        count &+= bytes.count
    }
}
