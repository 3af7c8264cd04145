import Wire

/// The namespace that a pod counts to, by pod UID; `nil` while nobody knows.
typealias NamespaceOfPod = @Sendable (String) -> String?

/// Stands for the namespace of pods whose name is not known: no namespace can be called that.
let unknownNamespace = "_unknown"

/// Sums one node's pods by namespace at each of its cycles, for the roll-ups.
///
/// As in Heapster, a pod's own figure counts where it has one, else the sum of its containers.
struct CycleSummary: Sendable {
    let rollUps: RollUps
    let namespaceOfPod: NamespaceOfPod

    /// Called under the node's lock.
    func observe(_ view: NodeModel.CycleView) {
        let width = RollUps.metrics.count
        var pods: [ObjectIdentifier: PodSum] = [:]
        view.chain.forEachRow { _, subject, row in
            guard let pod = subject.record.pod else { return }
            var sum = pods[ObjectIdentifier(pod)] ?? PodSum(uid: pod.subject.podUID, width: width)
            let isOwn = subject.record === pod
            for (index, source) in subject.plan.sums {
                let value = subject.plan.value(
                    source, row: row, state: subject.record.rates)
                guard !value.isNaN else { continue }
                if isOwn {
                    sum.own[index] = value
                } else {
                    sum.parts[index] = (sum.parts[index].isNaN ? 0 : sum.parts[index]) + value
                }
            }
            pods[ObjectIdentifier(pod)] = sum
        }
        var namespaces: [String: [Double]] = [:]
        for sum in pods.values {
            let namespace = namespaceOfPod(sum.uid) ?? unknownNamespace
            var total = namespaces[namespace] ?? [Double](repeating: .nan, count: width)
            for index in 0..<width {
                let value = sum.own[index].isNaN ? sum.parts[index] : sum.own[index]
                guard !value.isNaN else { continue }
                total[index] = (total[index].isNaN ? 0 : total[index]) + value
            }
            namespaces[namespace] = total
        }
        rollUps.add(cycle: view.cycle, sums: namespaces)
    }

    private struct PodSum {
        let uid: String
        /// The pod's own figures, `nan` where it has none.
        var own: [Double]
        /// Summed over its containers and interfaces.
        var parts: [Double]

        init(uid: String, width: Int) {
            self.uid = uid
            own = [Double](repeating: .nan, count: width)
            parts = own
        }
    }
}

extension SubjectRecord {
    /// The pod that it is or belongs to; `nil` for what is the node's.
    var pod: SubjectRecord? { subject.kind == .pod ? self : parent?.pod }
}
