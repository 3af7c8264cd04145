/// An object of Kubernetes that cannot be used.
enum ObjectError: Error, Equatable, Sendable {
    case json(JSONError)
    /// A field without which the object has no identity.
    case missing(field: String, kind: String, offset: Int)
    case invalid(field: String, value: String, kind: String, name: String)
}

extension ObjectError: CustomStringConvertible {
    var description: String {
        switch self {
        case .json(let error): error.description
        case .missing(let field, let kind, let offset):
            "the \(kind) at byte \(offset) has no \(field)"
        case .invalid(let field, let value, let kind, let name):
            "\(kind) \(name): \(field) is \"\(value)\""
        }
    }
}
