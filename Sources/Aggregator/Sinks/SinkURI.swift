import Glibc
import Wire

/// What is wrong with a `--sink` flag.
enum SinkConfigurationError: Error, Equatable {
    case noKind(text: String)
    case unknownKind(kind: String, known: [String])
    case malformedURI(sink: String, reason: String)
    case unknownOption(sink: String, option: String, known: [String])
    case repeatedOption(sink: String, option: String)
    case badValue(sink: String, option: String, expected: String)
    case missingOption(sink: String, option: String)
    case noSuchVariable(sink: String, option: String, name: String)
    case conflict(sink: String, first: String, second: String)
}

extension SinkConfigurationError: CustomStringConvertible {
    /// Names options and expectations, never values: a value may be a secret.
    var description: String {
        switch self {
        case .noKind(let text): "--sink=\(text): write KIND:URI?options"
        case .unknownKind(let kind, let known):
            "there is no sink \"\(kind)\"\(Self.meant(kind, known)); there are "
                + known.joined(separator: ", ")
        case .malformedURI(let sink, let reason): "sink \(sink): \(reason)"
        case .unknownOption(let sink, let option, let known):
            "sink \(sink) has no option \"\(option)\"\(Self.meant(option, known)); it has "
                + known.sorted().joined(separator: ", ")
        case .repeatedOption(let sink, let option):
            "sink \(sink): option \"\(option)\" is given twice"
        case .badValue(let sink, let option, let expected):
            "sink \(sink): option \"\(option)\" must be \(expected)"
        case .missingOption(let sink, let option):
            "sink \(sink) needs the option \"\(option)\""
        case .noSuchVariable(let sink, let option, let name):
            "sink \(sink), option \"\(option)\": there is no environment variable \(name)"
        case .conflict(let sink, let first, let second):
            "sink \(sink): give either \"\(first)\" or \"\(second)\", not both"
        }
    }

    private static func meant(_ written: String, _ known: [String]) -> String {
        NearestName.of(written, among: known).map { " (did you mean \"\($0)\"?)" } ?? ""
    }
}

/// A `--sink` flag taken apart: `KIND:URI?options`, as Heapster spells it. `KIND` alone, `KIND:` and
/// `KIND:?options` are fine where the sink has a default address.
///
/// The URI's own query belongs to the sink and never reaches the backend. `${NAME}` in an option's
/// value is taken from the environment.
struct SinkURI: Sendable, Equatable {
    let kind: String
    /// `http`, `https`, `tcp`, `udp`; empty where none was written.
    let scheme: String
    /// Without port and brackets; empty where none was written.
    let host: String
    let port: UInt16?
    /// With its leading slash; empty where none was written.
    let path: String
    /// Decoded, in the order given.
    let options: [(name: String, value: String)]

    static func == (a: Self, b: Self) -> Bool {
        a.kind == b.kind && a.scheme == b.scheme && a.host == b.host && a.port == b.port
            && a.path == b.path && a.options.map(\.name) == b.options.map(\.name)
            && a.options.map(\.value) == b.options.map(\.value)
    }

    init(
        parsing text: String, environment: (String) -> String? = SinkURI.processEnvironment
    ) throws(SinkConfigurationError) {
        // A question mark before any colon begins the options of a sink without an address.
        let kindEnd = text.firstIndex { $0 == ":" || $0 == "?" } ?? text.endIndex
        guard kindEnd > text.startIndex else { throw .noKind(text: Self.redacted(text)) }
        kind = String(text[..<kindEnd])
        var rest = text[kindEnd...]
        if rest.first == ":" { rest.removeFirst() }
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let separator = rest.range(of: "://") {
            scheme = rest[..<separator.lowerBound].lowercased()
            rest = rest[separator.upperBound...]
        } else {
            scheme = ""
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        path = String(rest[slash...])
        (host, port) = try Self.authority(String(rest[..<slash]), kind: kind)
        options = try Self.parse(query: query, kind: kind, environment: environment)
    }

    /// What diagnostics may show: no user information, no options.
    var shown: String {
        let authority = host.isEmpty ? "" : port.map { "\(bracketedHost):\($0)" } ?? bracketedHost
        return "\(kind):\(scheme.isEmpty ? "" : scheme + "://")\(authority)\(path)"
    }

    private var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }

    static func processEnvironment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private static func redacted(_ text: String) -> String { String(text.prefix { $0 != "?" }) }

    private static func authority(
        _ text: String, kind: String
    ) throws(SinkConfigurationError) -> (String, UInt16?) {
        if text.isEmpty { return ("", nil) }
        guard !text.contains("@") else {
            throw .malformedURI(
                sink: kind, reason: "write user and password as options, not into the address")
        }
        if text.first == ":" {
            guard let port = UInt16(text.dropFirst()), port > 0 else {
                throw .malformedURI(sink: kind, reason: "\"\(text)\" is not a port")
            }
            return ("", port)
        }
        do throws(TransportError) {
            let hasPort =
                text.first == "["
                ? text.last != "]" : text.contains(":")
            let parsed = try HostAndPort(parsing: text, defaultPort: hasPort ? nil : 1)
            return (parsed.host, hasPort ? parsed.port : nil)
        } catch {
            throw .malformedURI(sink: kind, reason: error.description)
        }
    }

    private static func parse(
        query: Substring, kind: String, environment: (String) -> String?
    ) throws(SinkConfigurationError) -> [(name: String, value: String)] {
        var options: [(name: String, value: String)] = []
        for pair in query.split(separator: "&") {
            let equals = pair.firstIndex(of: "=") ?? pair.endIndex
            let name = decode(pair[..<equals])
            let raw = equals == pair.endIndex ? "" : decode(pair[pair.index(after: equals)...])
            let value = try expand(raw, kind: kind, option: name, environment)
            options.append((name, value))
        }
        return options
    }

    /// `%41` and `+` as forms encode them; a percent sign that begins no escape stands for itself.
    static func decode(_ text: Substring) -> String {
        let source = Array(text.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
                source[index + 1].isHexadecimalDigit, source[index + 2].isHexadecimalDigit,
                let value = UInt8(
                    String(decoding: source[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                index += 3
                continue
            }
            bytes.append(source[index] == UInt8(ascii: "+") ? 0x20 : source[index])
            index += 1
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func expand(
        _ value: String, kind: String, option: String, _ environment: (String) -> String?
    ) throws(SinkConfigurationError) -> String {
        var result = ""
        var rest = value[...]
        while let start = rest.range(of: "${"),
            let end = rest[start.upperBound...].firstIndex(of: "}")
        {
            let name = String(rest[start.upperBound..<end])
            guard let found = environment(name) else {
                throw .noSuchVariable(sink: kind, option: option, name: name)
            }
            result += rest[..<start.lowerBound] + found
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}

extension Substring {
    /// The first occurrence of `text`. (Foundation has one; this file needs no more of it.)
    func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) {
                return start..<self.index(start, offsetBy: text.count)
            }
            start = self.index(after: start)
        }
        return nil
    }
}
