/// What `--source` says, in Heapster's spelling: `kubernetes[:URL][?option=value&…]`.
///
/// `$VARIABLES` in it are replaced from the environment. Options for talking to kubelets are taken
/// and named as not needed: nothing here asks a kubelet.
struct SourceOptions: Equatable, Sendable {
    enum Kind: Equatable, Sendable { case none, kubernetes }

    var kind = Kind.none
    /// Of the apiserver; `nil` to take it from the cluster or the kubeconfig.
    var server: HTTPURL?
    var inClusterConfig = true
    /// Whether the server's certificate goes unchecked.
    var insecure = false
    /// Path of a kubeconfig.
    var auth: String?
    var useServiceAccount = false
    var hostIDAnnotation: String?
    /// Options that were given and mean nothing here.
    var unneeded: [String] = []

    private static let kubeletOptions: Set<String> = [
        "apiVersion", "kubeletPort", "kubeletHttps", "kubeletTimeout",
    ]

    /// - Throws: `SourceError.option`.
    init(
        parsing text: String, environment: [String: String]
    ) throws(SourceError) {
        let expanded = Self.expand(text, environment)
        let parts = expanded.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts[0].prefix { $0 != "?" }
        switch name {
        case "none", "": return
        case "kubernetes", "kubernetes.summary_api": kind = .kubernetes
        default:
            throw .option(
                text: text,
                reason: "there is no source \(name); the sources are none, kubernetes and "
                    + "kubernetes.summary_api")
        }
        var rest = parts.count > 1 ? parts[1] : expanded.dropFirst(name.count)
        // Shells and manifests leave quotes: kubernetes:''.
        rest = rest.drop { $0 == "'" || $0 == "\"" }
        while let last = rest.last, last == "'" || last == "\"" { rest.removeLast() }
        let uri = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        if let address = uri.first, !address.isEmpty {
            do {
                server = try HTTPURL(parsing: String(address))
            } catch {
                throw .option(text: text, reason: error.description)
            }
        }
        if uri.count > 1 { try readOptions(uri[1], text) }
        if auth != nil, useServiceAccount, server == nil {
            throw .option(text: text, reason: "give either auth or useServiceAccount, not both")
        }
    }

    private mutating func readOptions(_ query: Substring, _ text: String) throws(SourceError) {
        var sawInCluster = false
        for pair in query.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = PercentEncoding.decoded(String(halves[0]))
            let value = halves.count > 1 ? PercentEncoding.decoded(String(halves[1])) : ""
            switch key {
            case "inClusterConfig":
                inClusterConfig = try Self.boolean(key, value, text)
                sawInCluster = true
            case "insecure": insecure = try Self.boolean(key, value, text)
            case "useServiceAccount": useServiceAccount = try Self.boolean(key, value, text)
            case "auth": auth = value.isEmpty ? nil : value
            case "host_id_annotation": hostIDAnnotation = value.isEmpty ? nil : value
            case _ where Self.kubeletOptions.contains(key): unneeded.append(key)
            default:
                throw .option(text: text, reason: "there is no option \(key)")
            }
        }
        // Heapster would look for the cluster first and fail outside; who names a file means it.
        if auth != nil, !sawInCluster { inClusterConfig = false }
    }

    /// As Go's `strconv.ParseBool`.
    private static func boolean(
        _ key: String, _ value: String, _ text: String
    ) throws(SourceError) -> Bool {
        switch value {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw .option(text: text, reason: "\(key) is \"\(value)\", not true or false")
        }
    }

    /// `$NAME` and `${NAME}`; unknown ones become empty, as Go's `os.ExpandEnv` has it.
    static func expand(_ text: String, _ environment: [String: String]) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            if rest.first == "{", let end = rest.firstIndex(of: "}") {
                result += environment[String(rest[rest.index(after: rest.startIndex)..<end])] ?? ""
                rest = rest[rest.index(after: end)...]
            } else {
                let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                if name.isEmpty { result += "$" } else { result += environment[String(name)] ?? "" }
                rest = rest.dropFirst(name.count)
            }
        }
        return result + rest
    }
}
