/// Request methods that are told apart. Any other token is `other`, which no route answers.
enum HTTPMethod: UInt8, Sendable, CaseIterable {
    case get, head, post, put, patch, delete, options, other

    /// Methods are case-sensitive (RFC 9110, 9.1).
    init(_ bytes: UnsafeRawBufferPointer) {
        for method in HTTPMethod.allCases where method != .other {
            let name = method.name
            if bytes.count == name.utf8CodeUnitCount,
                bytes.elementsEqual(
                    UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            {
                self = method
                return
            }
        }
        self = .other
    }

    var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .other: "other"
        }
    }
}
