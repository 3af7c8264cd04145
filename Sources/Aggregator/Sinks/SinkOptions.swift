import Wire

/// An option that a kind of sink has.
struct SinkOption: Sendable {
    /// With a `*` at its end: all that begin so.
    let name: String
    /// One sentence for the help text, without a full stop.
    let help: String
    /// A secret can also be given as `NAMEfile=PATH`, and never appears in diagnostics.
    let isSecret: Bool
    /// May be given more than once.
    let isRepeatable: Bool

    init(_ name: String, _ help: String, secret: Bool = false, repeatable: Bool = false) {
        self.name = name
        self.help = help
        isSecret = secret
        isRepeatable = repeatable
    }

    /// What every sink has.
    static let common: [SinkOption] = [
        SinkOption("interval", "time between two batches that are sent; default: every batch"),
        SinkOption("timeout", "how long a request may take; default 20s"),
        SinkOption(
            "queue-bytes", "what may wait for the backend; default 1Gi with a disk, else 64Mi"),
        SinkOption("metrics", "metrics to send: names with *, separated by commas; default all"),
        SinkOption("metrics-deny", "metrics not to send"),
        SinkOption("labels", "labels to send: names with *, separated by commas"),
        SinkOption("labels-deny", "labels not to send"),
        SinkOption("cluster_name", "this cluster's name among others; default --cluster-name"),
        SinkOption("name", "what the sink is called at /metrics and in its queue's directory"),
    ]
    /// What every sink over HTTP and TLS has.
    static let tls: [SinkOption] = [
        SinkOption("cacert", "file with the authorities to trust; default: the system's"),
        SinkOption("cert", "file with a client certificate"),
        SinkOption("key", "file with the client certificate's key"),
        SinkOption("insecuressl", "true: do not check the backend's certificate"),
    ]
}

/// A secret value. Prints as `***`; a file is read again each time, so that it can be renewed.
enum Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
    case value(String)
    case file(String)

    var description: String { "***" }
    var debugDescription: String { "***" }

    /// - Throws: when the file cannot be read now.
    func reveal() throws(SinkError) -> String {
        switch self {
        case .value(let text): return text
        case .file(let path):
            do throws(SmallFileError) {
                let bytes = try SmallFile.read(path, byteLimit: 1 << 20)
                return String(decoding: bytes.trimmingWhitespace(), as: UTF8.self)
            } catch {
                throw .cannotReadFile(error)
            }
        }
    }
}

/// A sink's options, looked up by name and checked.
struct SinkOptions: Sendable {
    private let kind: String
    private var values: [String: [String]] = [:]
    private var secretFiles: [String: String] = [:]

    /// - Parameter clusterName: for `cluster_name`, where the flag does not give it.
    /// - Throws: for options that the sink does not have, and such given twice.
    init(
        _ uri: SinkURI, known: [SinkOption], clusterName: String? = nil
    ) throws(SinkConfigurationError) {
        kind = uri.kind
        let byName = Dictionary(
            known.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for (name, value) in uri.options {
            let byPrefix = known.first { $0.name.last == "*" && name.hasPrefix($0.name.dropLast()) }
            if let option = byName[name] ?? byPrefix {
                guard values[name] == nil || option.isRepeatable else {
                    throw .repeatedOption(sink: kind, option: name)
                }
                values[name, default: []].append(value)
            } else if name.hasSuffix("file"), byName[String(name.dropLast(4))]?.isSecret == true {
                guard secretFiles.updateValue(value, forKey: String(name.dropLast(4))) == nil else {
                    throw .repeatedOption(sink: kind, option: name)
                }
            } else {
                let secrets = known.filter(\.isSecret).map { $0.name + "file" }
                throw .unknownOption(
                    sink: kind, option: name, known: known.map(\.name) + secrets)
            }
        }
        for name in secretFiles.keys where values[name] != nil {
            throw .conflict(sink: kind, first: name, second: name + "file")
        }
        if let clusterName, values["cluster_name"] == nil { values["cluster_name"] = [clusterName] }
    }

    func string(_ name: String) -> String? { values[name]?.first }
    func string(_ name: String, default value: String) -> String { string(name) ?? value }
    func strings(_ name: String) -> [String] { values[name] ?? [] }

    /// Elements of a comma list, empty ones left out.
    func list(_ name: String) -> [String] {
        strings(name).flatMap { $0.split(separator: ",").map(String.init) }
    }

    func secret(_ name: String) -> Secret? {
        if let path = secretFiles[name] { return .file(path) }
        return string(name).map { .value($0) }
    }

    func required(_ name: String) throws(SinkConfigurationError) -> String {
        guard let value = string(name), !value.isEmpty else {
            throw .missingOption(sink: kind, option: name)
        }
        return value
    }

    func requiredSecret(_ name: String) throws(SinkConfigurationError) -> Secret {
        guard let value = secret(name) else { throw .missingOption(sink: kind, option: name) }
        return value
    }

    /// As Go's `strconv.ParseBool`.
    func boolean(_ name: String, default value: Bool) throws(SinkConfigurationError) -> Bool {
        guard let text = string(name) else { return value }
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw .badValue(sink: kind, option: name, expected: "true or false")
        }
    }

    func integer(
        _ name: String, default value: Int, in range: ClosedRange<Int>
    ) throws(SinkConfigurationError) -> Int {
        guard let text = string(name) else { return value }
        guard let number = Int(text), range.contains(number) else {
            throw .badValue(
                sink: kind, option: name,
                expected: "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Milliseconds; a bare number counts seconds where `bareSeconds`.
    func duration(
        _ name: String, defaultMilliseconds value: Int64, bareSeconds: Bool = false
    ) throws(SinkConfigurationError) -> Int64 {
        guard let text = string(name) else { return value }
        if bareSeconds, let seconds = Int64(text), seconds >= 0, seconds < 1 << 40 {
            return seconds * 1_000
        }
        guard let milliseconds = parseDurationMilliseconds(text), milliseconds >= 0 else {
            throw .badValue(sink: kind, option: name, expected: "a duration such as 30s or 5m")
        }
        return milliseconds
    }

    func byteCount(_ name: String, default value: Int) throws(SinkConfigurationError) -> Int {
        guard let text = string(name) else { return value }
        guard let count = parseByteCount(text), count > 0 else {
            throw .badValue(sink: kind, option: name, expected: "a size such as 64Mi")
        }
        return count
    }

    /// One of a few words.
    func choice(
        _ name: String, default value: String, of words: [String]
    ) throws(SinkConfigurationError) -> String {
        let text = string(name) ?? value
        guard words.contains(text) else {
            throw .badValue(
                sink: kind, option: name, expected: "one of \(words.joined(separator: ", "))")
        }
        return text
    }

    /// The filter of the options that every sink has.
    ///
    /// - Parameter metricsIsOwn: whether `metrics` means something else for this kind of sink.
    func filter(metricsIsOwn: Bool = false) -> SinkFilter? {
        let filter = SinkFilter(
            metrics: metricsIsOwn ? [] : list("metrics").map { NamePattern($0) },
            deniedMetrics: list("metrics-deny").map { NamePattern($0) },
            labels: list("labels").map { NamePattern($0) },
            deniedLabels: list("labels-deny").map { NamePattern($0) })
        return filter.isEmpty ? nil : filter
    }

    /// Whether the user allowed a label by its own name, which overrides a sink's habit of leaving
    /// it out.
    func allows(label: String) -> Bool { list("labels").contains(label) }
}
