/// What to say when a path under some prefix cannot be answered, and what that API is strict about.
struct RouteGroup: Sendable {
    /// `/api/v1/model`; the group's routes begin with it, and so do the paths whose errors are its.
    var prefix: String
    /// Whether `/a/` is as good as `/a`.
    var allowsTrailingSlash = true
    /// Whether HEAD is answered like GET, without the body.
    var answersHead = true
    /// A client that does not accept this media type gets 406. Nil: routes see to it themselves.
    var produces: StaticString?
    var notFoundText: StaticString = "404 page not found\n"
    var methodNotAllowedText: StaticString = "405 method not allowed\n"
    var notAcceptableText: StaticString = "406 not acceptable\n"

    init(prefix: String) { self.prefix = prefix }

    /// Heapster's words and habits.
    static func heapster(prefix: String) -> RouteGroup {
        var group = RouteGroup(prefix: prefix)
        group.answersHead = false
        group.produces = "application/json"
        group.notFoundText = "404: Page Not Found"
        group.methodNotAllowedText = "405: Method Not Allowed"
        group.notAcceptableText = "406: Not Acceptable"
        return group
    }
}

/// Finds who answers a path.
///
/// Patterns are made of fixed segments, `{name}` for one segment, and `{name...}` at the end for
/// one or more. A path is split at its slashes *before* it is decoded, so `%2F` inside a segment
/// stays inside it. Fixed segments win over parameters, parameters over the rest. Built once, then
/// only read; a look-up walks the path once where nothing is ambiguous and allocates nothing unless
/// a fixed segment is percent-encoded.
struct Router: Sendable {
    typealias Handler = @Sendable (HTTPRequest) -> HTTPAnswer

    enum Outcome {
        case handler(Handler)
        /// Nobody answers; the response says why.
        case refusal(HTTPResponse)
    }

    private struct Node: Sendable {
        /// (decoded segment, node), few: searched in order.
        var children: [(segment: [UInt8], node: Int)] = []
        var parameterChild: Int?
        var endpoint: Int?
        var restEndpoint: Int?
    }

    private struct Endpoint: Sendable {
        var group: Int
        var handlers: [(method: HTTPMethod, handler: Handler)] = []
    }

    private var nodes = [Node()]
    private var endpoints: [Endpoint] = []
    private var groups: [(group: RouteGroup, segments: [[UInt8]])] = []
    /// Every route, in the order in which they were added.
    private(set) var routes: [(method: HTTPMethod, pattern: String)] = []

    /// - Parameter root: answers for paths under no other group's prefix; its prefix is empty.
    init(root: RouteGroup = RouteGroup(prefix: "")) {
        precondition(root.prefix.isEmpty)
        groups.append((root, []))
    }

    // MARK: Building

    /// Adds a group; give its number to `add`. Number 0 is the root.
    mutating func addGroup(_ group: RouteGroup) -> Int {
        groups.append((group, Self.segments(group.prefix)))
        return groups.count - 1
    }

    /// Adds a route. Our fault: a route that exists, a rest that is not last.
    ///
    /// - Parameter pattern: below the group's prefix, `/nodes/{node}/metrics/{metric...}`.
    mutating func add(
        _ method: HTTPMethod, _ pattern: String, group: Int = 0, _ handler: @escaping Handler
    ) {
        var node = 0
        var isRest = false
        for segment in Self.segments(groups[group].group.prefix + pattern) {
            precondition(!isRest, "{rest...} is not last in \(pattern)")
            let isParameter = segment.first == UInt8(ascii: "{")
            isRest = isParameter && segment.suffix(4).elementsEqual("...}".utf8)
            if isRest { continue }
            node = isParameter ? parameterChild(of: node) : child(of: node, segment)
        }
        let existing = isRest ? nodes[node].restEndpoint : nodes[node].endpoint
        let endpoint = existing ?? endpoints.count
        if existing == nil { endpoints.append(Endpoint(group: group)) }
        if isRest { nodes[node].restEndpoint = endpoint } else { nodes[node].endpoint = endpoint }
        precondition(
            !endpoints[endpoint].handlers.contains { $0.method == method },
            "two routes for \(method.name) \(pattern)")
        endpoints[endpoint].handlers.append((method, handler))
        routes.append((method, groups[group].group.prefix + pattern))
    }

    private mutating func parameterChild(of node: Int) -> Int {
        if let existing = nodes[node].parameterChild { return existing }
        nodes.append(Node())
        nodes[node].parameterChild = nodes.count - 1
        return nodes.count - 1
    }

    private mutating func child(of node: Int, _ segment: [UInt8]) -> Int {
        if let existing = nodes[node].children.first(where: { $0.segment == segment }) {
            return existing.node
        }
        nodes.append(Node())
        nodes[node].children.append((segment, nodes.count - 1))
        return nodes.count - 1
    }

    private static func segments(_ path: String) -> [[UInt8]] {
        path.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
    }

    // MARK: Finding

    /// Finds the handler and stores the parameters in the request.
    func route(_ request: HTTPRequest) -> Outcome {
        var search = Search(
            path: request.bytes(request.pathRange), origin: Int(request.pathRange.start))
        let found = withExtendedLifetime(request) { find(&search, node: 0, position: 0) }
        guard let found else {
            let text = group(for: request).notFoundText
            return .refusal(.text(.notFound, text))
        }
        let endpoint = endpoints[found]
        let group = groups[endpoint.group].group
        let method = request.method == .head && group.answersHead ? .get : request.method
        guard
            let handler = endpoint.handlers.first(where: { $0.method == request.method })
                ?? endpoint.handlers.first(where: { $0.method == method })
        else { return .refusal(methodNotAllowed(endpoint, group)) }
        if let produces = group.produces, !HTTPNegotiation.accepts(produces, request) {
            return .refusal(.text(.notAcceptable, group.notAcceptableText))
        }
        request.setParameters(search.parameters)
        return .handler(handler.handler)
    }

    private struct Search {
        let path: UnsafeRawBufferPointer
        /// Where the path begins in the head.
        let origin: Int
        var parameters = RouteParameters()
    }

    /// Returns the endpoint for the path from `position` (at a slash, or at the end).
    private func find(_ search: inout Search, node: Int, position: Int) -> Int? {
        let path = search.path
        if position == path.count { return nodes[node].endpoint }
        guard path[position] == 0x2F else { return nil }
        let start = position &+ 1
        if start == path.count {
            // The end of `/a/`, or the root itself.
            guard let endpoint = nodes[node].endpoint else { return nil }
            let group = groups[endpoints[endpoint].group].group
            return node == 0 || group.allowsTrailingSlash ? endpoint : nil
        }
        var end = start
        while end < path.count, path[end] != 0x2F { end &+= 1 }
        guard end > start else { return nil }
        let segment = UnsafeRawBufferPointer(rebasing: path[start..<end])
        if let child = child(of: node, matching: segment),
            let found = find(&search, node: child, position: end)
        {
            return found
        }
        if let child = nodes[node].parameterChild {
            search.parameters.append(HTTPSyntax.Extent(search.origin + start, search.origin + end))
            if let found = find(&search, node: child, position: end) { return found }
            search.parameters.removeLast()
        }
        guard let rest = nodes[node].restEndpoint else { return nil }
        var last = path.count
        if groups[endpoints[rest].group].group.allowsTrailingSlash, path[last &- 1] == 0x2F {
            last &-= 1
        }
        search.parameters.append(HTTPSyntax.Extent(search.origin + start, search.origin + last))
        return rest
    }

    private func child(of node: Int, matching segment: UnsafeRawBufferPointer) -> Int? {
        if segment.contains(0x25) {
            var decoded: [UInt8] = []
            PercentEncoding.decode(segment, plusIsSpace: false, into: &decoded)
            return nodes[node].children.first { $0.segment == decoded }?.node
        }
        for child in nodes[node].children where child.segment.count == segment.count {
            if child.segment.elementsEqual(segment) { return child.node }
        }
        return nil
    }

    /// The group whose prefix is the longest that the path has.
    private func group(for request: HTTPRequest) -> RouteGroup {
        let segments = Self.segments(request.rawPath)
        var best = 0
        for (number, group) in groups.enumerated()
        where segments.starts(with: group.segments)
            && group.segments.count > groups[best].segments.count
        {
            best = number
        }
        return groups[best].group
    }

    private func methodNotAllowed(_ endpoint: Endpoint, _ group: RouteGroup) -> HTTPResponse {
        var names = endpoint.handlers.map(\.method.name.description)
        if group.answersHead, names.contains("GET") { names.append("HEAD") }
        var response = HTTPResponse.text(.methodNotAllowed, group.methodNotAllowedText)
        response.fields.append(HTTPField("Allow", names.joined(separator: ", ")))
        return response
    }
}
