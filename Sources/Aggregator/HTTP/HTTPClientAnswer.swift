import Wire

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

    /// `Retry-After` in seconds, less than a day: a number, or a date, which counts from the answer's own
    /// `Date`. Absent for anything else.
    var retryAfterSeconds: Int? {
        guard let text = field("Retry-After") else { return nil }
        var seconds = Int(text)
        if seconds == nil, let until = Self.seconds(ofDate: text),
            let now = field("Date").flatMap({ Self.seconds(ofDate: $0) })
        {
            seconds = max(0, until - now)
        }
        return seconds.flatMap { (0..<86_400).contains($0) ? $0 : nil }
    }

    /// Since the epoch, of the form that RFC 9110 wants: `Sun, 06 Nov 1994 08:49:37 GMT`.
    private static func seconds(ofDate text: String) -> Int? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT",
            let month = monthNames.firstIndex(where: { $0 == words[2] })
        else { return nil }
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return RFC3339.milliseconds(
            parsing: "\(words[3])-\(number)-\(words[1])T\(words[4])Z"
        ).map { Int($0 / 1_000) }
    }

    private static let monthNames = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
