import Wire

/// `--source` and `--pods`: where names come from.
struct SourceFlags: Sendable {
    var source = Source.none
    /// A PodList to name pods by, where there is no apiserver.
    var podsFile: String?

    enum Source: Sendable {
        /// The agents' own view, and `--pods`.
        case none
        case kubernetes(SourceOptions, APIServerAccess)
    }

    /// The apiserver that names come from; `nil` without one.
    var access: APIServerAccess? {
        if case .kubernetes(_, let access) = source { return access }
        return nil
    }

    /// What `--source` says; `nil` without an apiserver.
    var options: SourceOptions? {
        if case .kubernetes(let options, _) = source { return options }
        return nil
    }

    static let flags: [Flag] = [
        Flag(
            "source", "SOURCE", default: "none",
            "Where names come from: none (pods go by their UIDs, or by --pods) or "
                + "kubernetes[:URL][?inClusterConfig=true&auth=KUBECONFIG&insecure=false&"
                + "useServiceAccount=false&host_id_annotation=KEY]."),
        Flag(
            "pods", "FILE",
            "A list of pods as `kubectl get pods -A -o json` prints it. Read again when it changes."
        ),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        source = Self.source(&line)
        podsFile = line.text("pods")
        if case .kubernetes = source, podsFile != nil {
            line.report("--pods and --source=kubernetes both name pods; give one of them")
        }
    }

    private static func source(_ line: inout CommandLine) -> Source {
        let environment = ProcessEnvironment.all
        do {
            let options = try SourceOptions(
                parsing: line.text("source") ?? "none", environment: environment)
            guard options.kind == .kubernetes else { return .none }
            let access = try APIServerAccess(options, environment: environment)
            // Unusable files are said now, not only when the first request fails.
            _ = try access.destination()
            return .kubernetes(options, access)
        } catch {
            line.report("\(error)")
            return .none
        }
    }
}
