extension PodDirectory: PodFactsSource {
    var factsGeneration: UInt64? { generation }

    /// What a pod counts in the roll-ups; `nil` while it is not known.
    func facts(uid: String) -> PodFacts? {
        guard let pod = pod(uid: ObjectUID(uid)) else { return nil }
        let totals = ResourceTotals(pod)
        return PodFacts(
            namespace: pod.namespace, cpuRequestMillicores: totals.cpuRequestMillicores,
            cpuLimitMillicores: totals.cpuLimitMillicores,
            memoryRequestBytes: totals.memoryRequestBytes,
            memoryLimitBytes: totals.memoryLimitBytes)
    }
}
