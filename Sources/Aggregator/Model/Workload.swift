/// What people deployed: the outermost owner of a pod.
struct Workload: Sendable, Hashable {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `CronJob`, `ReplicaSet`, …
    let kind: String
    let namespace: String
    let name: String
}
