import Wire

/// Names and units by Prometheus' conventions (<https://prometheus.io/docs/practices/naming/>): base units,
/// `_total` behind counters. The entity is part of the name, since a sum over a metric must not add
/// a pod to its own containers.
enum PrometheusNames {
    /// `heapwire_container_cpu_usage_seconds_total`.
    static func name(_ metric: MetricKey, of kind: EntityKind, prefix: String) -> String {
        var name = "\(prefix)\(word(kind))_\(metric.name)"
        if case .catalogue(let id) = metric { name += suffix(Catalog.metric(id).unit, of: name) }
        if metric.kind == .counter { name += "_total" }
        return String(name.map { isAllowed($0) ? $0 : "_" })
    }

    /// What a value of the catalogue's unit is multiplied with.
    static func scale(_ metric: MetricKey) -> Double {
        guard case .catalogue(let id) = metric else { return 1 }
        switch Catalog.metric(id).unit {
        case .nanoseconds: return 1e-9
        case .milliseconds, .millicores, .milli: return 1e-3
        case .none, .bytes, .percent, .perSecond, .ratio: return 1
        }
    }

    /// Kubernetes' usual names of labels; `nil` for what only repeats others.
    static func label(_ key: String) -> String? {
        switch key {
        case "namespace_name": "namespace"
        case "pod_name": "pod"
        case "container_name": "container"
        case "nodename": "node"
        case "pod_id": "uid"
        case "container_base_image": "image"
        case "cluster_name": "cluster"
        case "type", "hostname", "host_id", "namespace_id", "labels": nil
        default: cleaned(key)
        }
    }

    /// Each character that may not be in a label's name replaced.
    private static func cleaned(_ key: String) -> String {
        let isClean = key.utf8.allSatisfy { byte in
            switch byte | 0x20 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): true
            default:
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "_")
            }
        }
        // All but object labels with dots and slashes are.
        return isClean ? key : String(key.map { isAllowed($0) ? $0 : "_" })
    }

    /// `label_app_kubernetes_io_name`, as kube-state-metrics has it.
    static func objectLabel(_ key: String) -> String {
        "label_" + String(key.map { isAllowed($0) && $0 != ":" ? $0 : "_" })
    }

    private static func word(_ kind: EntityKind) -> String {
        switch kind {
        case .namespace: "namespace"
        case .container: "container"
        case .systemContainer: "system_container"
        case .cluster, .node, .pod, .workload: kind.rawValue
        }
    }

    private static func suffix(_ unit: Metric.Unit, of name: String) -> String {
        let suffix: String
        switch unit {
        case .none, .milli, .perSecond: return ""
        case .bytes: suffix = "_bytes"
        case .nanoseconds, .milliseconds: suffix = "_seconds"
        case .millicores: suffix = "_cores"
        case .percent: suffix = "_percent"
        case .ratio: suffix = "_ratio"
        }
        return name.hasSuffix(suffix) ? "" : suffix
    }

    private static func isAllowed(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "_")
    }
}
