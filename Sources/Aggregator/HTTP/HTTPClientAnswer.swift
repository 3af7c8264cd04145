/// An answer that was small enough to be kept whole.
struct HTTPClientAnswer: Sendable, Equatable {
    let head: HTTPClientHead
    var body: [UInt8] = []

    var status: Int { head.status }

    /// The first field of that name, whatever its case.
    func field(_ name: String) -> String? { head[name.lowercased()] }

    /// The beginning of the body as one line, for messages.
    var excerpt: String {
        let text = String(decoding: body.prefix(300), as: UTF8.self)
        var line = text.map { $0.isNewline ? " " : $0 }[...]
        while line.first == " " { line.removeFirst() }
        while line.last == " " { line.removeLast() }
        return String(line)
    }

    /// `Retry-After` in seconds; dates are not understood and count as absent.
    var retryAfterSeconds: Int? {
        field("Retry-After").flatMap { Int($0) }.flatMap { $0 >= 0 && $0 < 86_400 ? $0 : nil }
    }
}
