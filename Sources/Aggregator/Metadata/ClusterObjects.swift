/// What Heapwire keeps of a node.
struct Node: Sendable, Equatable {
    enum Readiness: UInt8, Sendable { case ready, notReady, unknown, notReported }

    var name: String
    var uid: ObjectUID
    var labels = LabelSet.none
    /// Small ones only: one of them may be the host's ID (`host_id_annotation`).
    var annotations: [String: String] = [:]
    /// `spec.externalID`, which old clusters set.
    var externalID = ""
    var isUnschedulable = false
    var capacity = ResourceAmounts()
    var allocatable = ResourceAmounts()
    var internalIP = ""
    var externalIP = ""
    /// The address of type `Hostname`.
    var hostnameAddress = ""
    var readiness = Readiness.notReported
    var kubeletVersion = ""

    /// Heapster's `hostname`: the address of that type, else the name.
    var hostname: String { hostnameAddress.isEmpty ? name : hostnameAddress }

    /// Heapster's `host_id`: the external ID, else the annotation that a source option names.
    func hostID(annotation: String?) -> String {
        if !externalID.isEmpty { return externalID }
        return annotation.flatMap { annotations[$0] } ?? ""
    }
}

/// What Heapwire keeps of a namespace.
struct Namespace: Sendable, Equatable {
    var name: String
    var uid: ObjectUID
}

/// An object between a pod and its workload: a replica set of a deployment, a job of a cron job.
struct OwnedObject: Sendable, Equatable {
    /// `ReplicaSet` or `Job`.
    var kind: String
    var namespace: String
    var name: String
    var uid: ObjectUID
    var controller: OwnerReference?
}
