import Wire

/// Which server it is, as its root document says, and what follows for templates and paths.
struct ElasticsearchVersion: Equatable, CustomStringConvertible {
    let isOpenSearch: Bool
    let major: Int
    let minor: Int

    var description: String { "\(isOpenSearch ? "OpenSearch" : "Elasticsearch") \(major).\(minor)" }

    /// Types of documents went with version 7.
    var hasTypes: Bool { !isOpenSearch && major < 7 }
    /// `_index_template` instead of `_template`: 7.8, and every OpenSearch, which began from 7.10.
    var hasComposableTemplates: Bool { isOpenSearch || (major, minor) >= (7, 8) }
    var hasDataStreams: Bool { isOpenSearch || (major, minor) >= (7, 9) }

    /// - Throws: for a document without a version, and for versions before 5, whose mappings have
    ///   other types.
    init(rootDocument body: [UInt8]) throws(SinkError) {
        var distribution = ""
        var number = ""
        let error = body.withUnsafeBytes { raw -> JSONError? in
            var json = JSONScanner(raw)
            do throws(JSONError) {
                try Self.read(&json, &distribution, &number)
                return nil
            } catch {
                return error
            }
        }
        let parts = number.split(separator: ".")
        guard error == nil, parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1])
        else { throw .malformedAnswer("no version in the server's root document") }
        isOpenSearch = distribution == "opensearch"
        (self.major, self.minor) = (major, minor)
        guard isOpenSearch || major >= 5 else {
            throw .backend("the server is \(self); the sink needs Elasticsearch 5 or later")
        }
    }

    private static func read(
        _ json: inout JSONScanner, _ distribution: inout String, _ number: inout String
    ) throws(JSONError) {
        try json.beginObject()
        while let key = try json.nextKey() {
            guard "version" ~= key else {
                try json.skip()
                continue
            }
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "number": number = try json.string().string
                case "distribution": distribution = try json.string().string
                default: try json.skip()
                }
            }
        }
    }
}

/// The answer to `_nodes/http`.
enum NodesAnswer {
    /// Of `HOST:PORT`, `NAME/IP:PORT` and `[IP]:PORT`; `nil` for a body that is no such answer.
    static func addresses(in body: [UInt8]) -> [HostAndPort]? {
        body.withUnsafeBytes { raw -> [HostAndPort]? in
            var json = JSONScanner(raw)
            do throws(JSONError) {
                return try read(&json)
            } catch {
                return nil
            }
        }
    }

    private static func read(_ json: inout JSONScanner) throws(JSONError) -> [HostAndPort]? {
        var addresses: [HostAndPort]?
        try json.beginObject()
        while let key = try json.nextKey() {
            guard "nodes" ~= key else {
                try json.skip()
                continue
            }
            addresses = addresses ?? []
            try json.beginObject()
            while try json.nextKey() != nil {
                if let address = try readNode(&json) { addresses?.append(address) }
            }
        }
        return addresses
    }

    private static func readNode(_ json: inout JSONScanner) throws(JSONError) -> HostAndPort? {
        var address: HostAndPort?
        try json.beginObject()
        while let key = try json.nextKey() {
            guard "http" ~= key else {
                try json.skip()
                continue
            }
            try json.beginObject()
            while let key = try json.nextKey() {
                guard "publish_address" ~= key else {
                    try json.skip()
                    continue
                }
                address = parse(try json.string().string)
            }
        }
        return address
    }

    private static func parse(_ text: String) -> HostAndPort? {
        do throws(TransportError) {
            return try HostAndPort(
                parsing: String(text.split(separator: "/").last ?? ""), defaultPort: nil)
        } catch {
            return nil
        }
    }
}
