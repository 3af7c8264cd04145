/// `status` of a TokenReview (authentication.k8s.io/v1).
struct TokenReviewStatus: Equatable {
    var isAuthenticated = false
    var user = RequestUser(name: "")
    /// Those that the token is for, of the ones that were asked about.
    var audiences: [String] = []
    /// Why it is not authenticated, in the authenticator's words.
    var error = ""

    /// Reads a whole TokenReview; what it does not know is passed over.
    init(_ json: inout JSONScanner) throws(JSONError) {
        try json.forEachKey { (key, json) throws(JSONError) in
            guard key == "status" else { return false }
            try json.forEachKey { (key, json) throws(JSONError) in
                switch key {
                case "authenticated": isAuthenticated = try json.boolean()
                case "user": try readUser(&json)
                case "audiences": audiences = try json.strings()
                case "error": error = String(try json.string().string.prefix(512))
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
