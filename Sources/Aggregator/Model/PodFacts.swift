/// What a pod counts in the roll-ups besides what its node read.
struct PodFacts: Sendable {
    var namespace: String
    var cpuRequestMillicores: Int64 = 0
    var cpuLimitMillicores: Int64 = 0
    var memoryRequestBytes: Int64 = 0
    var memoryLimitBytes: Int64 = 0
}

/// Who knows what a pod counts.
protocol PodFactsSource: Sendable {
    /// `nil` while it is not known.
    func facts(uid: String) -> PodFacts?
    /// Another number when somebody that was not known may be known now; `nil` where nobody tells.
    var factsGeneration: UInt64? { get }
}

extension PodFactsSource {
    var factsGeneration: UInt64? { nil }
}

/// The namespace that a pod counts to, by pod UID; `nil` while nobody knows. A pod never changes it.
typealias NamespaceOfPod = @Sendable (String) -> String?

/// Knows namespaces only.
struct PodNamespaces: PodFactsSource {
    let namespaceOfPod: NamespaceOfPod

    func facts(uid: String) -> PodFacts? { namespaceOfPod(uid).map { PodFacts(namespace: $0) } }
}
