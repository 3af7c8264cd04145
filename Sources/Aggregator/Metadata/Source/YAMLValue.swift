/// A value of the YAML that kubeconfig files are written in.
///
/// The subset: block mappings and sequences, plain and quoted scalars, `|` and `>` blocks, comments,
/// flow `{…}` and `[…]` (so JSON too), one document. Anchors, tags and merge keys are refused by name:
/// kubectl writes none, and reading them wrongly could pick other credentials.
indirect enum YAMLValue: Equatable, Sendable {
    case null
    /// Any scalar as text; quoted or not is forgotten except for `null`.
    case scalar(String)
    case sequence([YAMLValue])
    /// In the order written.
    case mapping([Member])

    struct Member: Equatable, Sendable {
        let key: String
        let value: YAMLValue
    }

    /// A member of a mapping; `nil` for any other value.
    subscript(key: String) -> YAMLValue? {
        guard case .mapping(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    var text: String? {
        if case .scalar(let text) = self { return text }
        return nil
    }

    var elements: [YAMLValue] {
        if case .sequence(let elements) = self { return elements }
        return []
    }

    /// `true` and `false` as YAML 1.2 has them.
    var boolean: Bool? {
        switch text {
        case "true", "True", "TRUE": true
        case "false", "False", "FALSE": false
        default: nil
        }
    }
}

/// Text that is not the YAML above.
struct YAMLError: Error, Equatable, CustomStringConvertible {
    /// From 1.
    let line: Int
    let reason: String
    var description: String { "line \(line): \(reason)" }
}
