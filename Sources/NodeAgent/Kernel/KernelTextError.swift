import Wire

/// What is wrong with the bytes of a kernel file. Says where; whoever read the file knows which.
enum KernelTextError: Error, Equatable, Sendable {
    /// The file ends inside a line, or is empty where it must not be.
    case truncated(offset: Int)
    /// A byte that the file's format does not allow there.
    case malformed(what: StaticText, offset: Int)
    /// A key or line that the file must have is not there.
    case missing(StaticText)
}

extension KernelTextError: CustomStringConvertible {
    var description: String {
        switch self {
        case .truncated(let offset): "ends inside a line at byte \(offset)"
        case .malformed(let what, let offset): "malformed \(what) at byte \(offset)"
        case .missing(let what): "has no \(what)"
        }
    }
}
