/// Requests, limits and restarts of the containers of a pod, or of the pods of a node, namespace or
/// cluster: exact sums, so that adding and subtracting pods keeps them right.
struct ResourceTotals: Equatable, Sendable {
    var podCount = 0
    var cpuRequestMillicores: Int64 = 0
    var cpuLimitMillicores: Int64 = 0
    var memoryRequestBytes: Int64 = 0
    var memoryLimitBytes: Int64 = 0
    var ephemeralStorageRequestBytes: Int64 = 0
    var ephemeralStorageLimitBytes: Int64 = 0
    var restartCount: Int64 = 0

    init() {}

    /// Of one container; what is not given counts nothing.
    init(_ container: Pod.Container) {
        let (requests, limits) = (container.resources.requests, container.resources.limits)
        cpuRequestMillicores = requests.cpuMillicores ?? 0
        cpuLimitMillicores = limits.cpuMillicores ?? 0
        memoryRequestBytes = requests.memoryBytes ?? 0
        memoryLimitBytes = limits.memoryBytes ?? 0
        ephemeralStorageRequestBytes = requests.ephemeralStorageBytes ?? 0
        ephemeralStorageLimitBytes = limits.ephemeralStorageBytes ?? 0
        restartCount = Int64(container.restartCount)
    }

    /// Of a pod: its regular containers and those that run beside them. Heapster looks at no
    /// initial and no ephemeral ones.
    init(_ pod: Pod) {
        podCount = 1
        for container in pod.containers
        where container.role == .regular || container.role == .sidecar {
            add(ResourceTotals(container))
        }
    }

    // Amounts may be as large as 64 bits hold: wrapping keeps add and subtract each other's inverse.

    mutating func add(_ other: ResourceTotals) {
        podCount += other.podCount
        cpuRequestMillicores &+= other.cpuRequestMillicores
        cpuLimitMillicores &+= other.cpuLimitMillicores
        memoryRequestBytes &+= other.memoryRequestBytes
        memoryLimitBytes &+= other.memoryLimitBytes
        ephemeralStorageRequestBytes &+= other.ephemeralStorageRequestBytes
        ephemeralStorageLimitBytes &+= other.ephemeralStorageLimitBytes
        restartCount &+= other.restartCount
    }

    mutating func subtract(_ other: ResourceTotals) {
        podCount -= other.podCount
        cpuRequestMillicores &-= other.cpuRequestMillicores
        cpuLimitMillicores &-= other.cpuLimitMillicores
        memoryRequestBytes &-= other.memoryRequestBytes
        memoryLimitBytes &-= other.memoryLimitBytes
        ephemeralStorageRequestBytes &-= other.ephemeralStorageRequestBytes
        ephemeralStorageLimitBytes &-= other.ephemeralStorageLimitBytes
        restartCount &-= other.restartCount
    }
}

extension Pod {
    /// Whether it holds its requests: it has a node and has not ended. As the scheduler counts.
    var holdsResources: Bool { !nodeName.isEmpty && phase != .succeeded && phase != .failed }
}
