/// `status` of a TokenReview (authentication.k8s.io/v1).
struct TokenReviewStatus: Equatable {
    var isAuthenticated = false
    var user = RequestUser(name: "")

    /// Reads a whole TokenReview; what it does not know is passed over.
    init(_ json: inout JSONScanner) throws(JSONError) {
        try json.forEachKey { (key, json) throws(JSONError) in
            guard key == "status" else { return false }
            try json.forEachKey { (key, json) throws(JSONError) in
                switch key {
                case "authenticated": isAuthenticated = try json.boolean()
                case "user": try readUser(&json)
                default: return false
                }
                return true
            }
            return true
        }
    }

    private mutating func readUser(_ json: inout JSONScanner) throws(JSONError) {
        try json.forEachKey { (key, json) throws(JSONError) in
            switch key {
            case "username": user.name = try json.string().string
            case "uid": user.uid = try json.string().string
            case "groups": user.groups = try json.strings()
            case "extra":
                try json.forEachKey { (key, json) throws(JSONError) in
                    user.extra.append(.init(key: key, values: try json.strings()))
                    return true
                }
                user.extra.sort { $0.key < $1.key }
            default: return false
            }
            return true
        }
    }
}

/// `status` of a SubjectAccessReview (authorization.k8s.io/v1).
struct AccessReviewStatus: Equatable {
    private(set) var isAllowed = false

    init(_ json: inout JSONScanner) throws(JSONError) {
        var isDenied = false
        try json.forEachKey { (key, json) throws(JSONError) in
            guard key == "status" else { return false }
            try json.forEachKey { (key, json) throws(JSONError) in
                switch key {
                case "allowed": isAllowed = try json.boolean()
                case "denied": isDenied = try json.boolean()
                default: return false
                }
                return true
            }
            return true
        }
        if isDenied { isAllowed = false }
    }
}

extension ClusterReviews.Question {
    /// The members of a SubjectAccessReview's `spec`.
    func write(into json: inout JSONWriter) {
        json.key("user")
        json.string(user.name)
        json.key("uid")
        json.string(user.uid)
        json.key("groups")
        json.strings(user.groups)
        json.key("extra")
        json.beginObject()
        for extra in user.extra {
            json.key(extra.key)
            json.strings(extra.values)
        }
        json.endObject()
        switch attributes.target {
        case .path(let path):
            json.key("nonResourceAttributes")
            json.beginObject()
            json.pair("path", path)
        case .resource(let resource):
            json.key("resourceAttributes")
            json.beginObject()
            json.pair("group", resource.group)
            json.pair("version", resource.version)
            json.pair("namespace", resource.namespace)
            json.pair("resource", resource.resource)
            json.pair("subresource", resource.subresource)
            json.pair("name", resource.name)
        }
        json.pair("verb", attributes.verb)
        json.endObject()
    }
}

extension JSONWriter {
    fileprivate mutating func pair(_ key: StaticString, _ value: String) {
        self.key(key)
        string(value)
    }

    fileprivate mutating func strings(_ values: [String]) {
        beginArray()
        for value in values { string(value) }
        endArray()
    }
}

extension JSONScanner {
    /// Reads a document that is in memory as a whole.
    static func read<Result>(
        _ bytes: [UInt8], _ body: (inout JSONScanner) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        let result = bytes.withUnsafeBytes { bytes -> Swift.Result<Result, JSONError> in
            var json = JSONScanner(bytes)
            do throws(JSONError) {
                return .success(try body(&json))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Walks an object (null counts as an empty one). The body returns false for a value that it left.
    fileprivate mutating func forEachKey(
        _ body: (String, inout JSONScanner) throws(JSONError) -> Bool
    ) throws(JSONError) {
        if try takeNull() { return }
        try beginObject()
        while let key = try nextKey() {
            if try !body(key.string, &self) { try skip() }
        }
    }

    /// An array of strings, or null.
    mutating func strings() throws(JSONError) -> [String] {
        var found: [String] = []
        if try takeNull() { return found }
        try beginArray()
        while try nextElement() { found.append(try string().string) }
        return found
    }
}
