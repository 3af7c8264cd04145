/// What a request wants to do, as a SubjectAccessReview has it.
///
/// Paths of API groups are resources, by the apiserver's own rules (`RequestInfo` in
/// k8s.io/apiserver); all else is a path. Paths below `/api/` are asked about as `/heapwire/api/…`,
/// because every cluster lets everybody who is authenticated read `/api/*` (`system:discovery`), which
/// means the apiserver's own lists. Segments are decoded one by one, and a slash that was
/// encoded stays so: no segment can pretend to be two.
struct RequestAttributes: Sendable, Hashable {
    enum Target: Sendable, Hashable {
        case resource(Resource)
        case path(String)
    }

    struct Resource: Sendable, Hashable {
        var group = ""
        var version = ""
        var namespace = ""
        var resource = ""
        var subresource = ""
        var name = ""
    }

    let verb: String
    let target: Target

    init(verb: String, target: Target) {
        self.verb = verb
        self.target = target
    }

    init(_ request: HTTPRequest) {
        let segments = request.rawPath.split(separator: "/").map { Self.decoded($0) }
        let method = request.method
        if let resource = Self.resource(segments) {
            target = .resource(resource)
            switch method {
            case .get, .head, .options: verb = resource.name.isEmpty ? "list" : "get"
            case .post: verb = "create"
            case .put: verb = "update"
            case .patch: verb = "patch"
            case .delete: verb = "delete"
            case .other: verb = "unknown"
            }
        } else {
            let path = "/" + segments.joined(separator: "/")
            target = .path(path.hasPrefix("/api/") ? "/heapwire\(path)" : path)
            verb = method == .head ? "get" : method.name.description.lowercased()
        }
    }

    private static func decoded(_ segment: Substring) -> String {
        guard segment.utf8.contains(0x25) else { return String(segment) }
        var text = String(segment)
        let decoded = text.withUTF8 {
            PercentEncoding.string(UnsafeRawBufferPointer($0), plusIsSpace: false)
        }
        return decoded.split(separator: "/", omittingEmptySubsequences: false)
            .joined(separator: "%2F")
    }

    private static func resource(_ segments: [String]) -> Resource? {
        var found = Resource()
        var rest = segments[...]
        switch rest.popFirst() {
        case "apis":
            guard rest.count > 2 else { return nil }
            found.group = rest.removeFirst()
            found.version = rest.removeFirst()
        // Below /api/v1 only this is the apiserver's; the rest is Heapster's own.
        case "api" where rest.count >= 2 && rest.first == "v1" && rest.dropFirst().first == "nodes":
            found.version = rest.removeFirst()
        default: return nil
        }
        if rest.first == "namespaces", rest.count > 2 {
            rest.removeFirst()
            found.namespace = rest.removeFirst()
        }
        found.resource = rest.popFirst() ?? ""
        found.name = rest.popFirst() ?? ""
        found.subresource = rest.joined(separator: "/")
        return found
    }

    /// For a path below one of Heapster's roots: everything below that root. Who may have all of it
    /// need not be asked about for each path.
    var wider: RequestAttributes? {
        guard case .path(let path) = target,
            let root = Self.roots.first(where: { path.hasPrefix($0) })
        else { return nil }
        // RBAC takes a star literally unless a rule ends in one: no rule for a single path covers it.
        return RequestAttributes(verb: verb, target: .path(root + "*"))
    }

    private static let roots = [
        "/heapwire/api/v1/model/", "/heapwire/api/v1/historical/",
    ]

    /// For messages: `get path "/metrics"`.
    var description: String {
        switch target {
        case .path(let path): return "\(verb) path \"\(path)\""
        case .resource(let resource):
            var words = "\(verb) resource \"\(resource.resource)\""
            if !resource.group.isEmpty { words += " in API group \"\(resource.group)\"" }
            if !resource.namespace.isEmpty {
                words += " in the namespace \"\(resource.namespace)\""
            }
            return words
        }
    }
}
