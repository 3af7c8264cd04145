import Wire

/// A node's figures that do not come from the node, by Heapster's rules: processors and memory that
/// the apiserver does not tell are 0, local storage is left out unless both figures are there, and
/// there is no reservation of nothing.
struct NodeFigures {
    private(set) var values: [MetricID: Double]

    init(_ node: Node, _ totals: ResourceTotals) {
        let (capacity, allocatable) = (node.capacity, node.allocatable)
        values = [
            .cpuRequest: Double(totals.cpuRequestMillicores),
            .cpuLimit: Double(totals.cpuLimitMillicores),
            .memoryRequest: Double(totals.memoryRequestBytes),
            .memoryLimit: Double(totals.memoryLimitBytes),
            .ephemeralStorageRequest: Double(totals.ephemeralStorageRequestBytes),
            .ephemeralStorageLimit: Double(totals.ephemeralStorageLimitBytes),
            .cpuNodeCapacity: Double(capacity.cpuMillicores ?? 0),
            .cpuNodeAllocatable: Double(allocatable.cpuMillicores ?? 0),
            .memoryNodeCapacity: Double(capacity.memoryBytes ?? 0),
            .memoryNodeAllocatable: Double(allocatable.memoryBytes ?? 0),
        ]
        reserve(.cpuNodeReservation, totals.cpuRequestMillicores, of: allocatable.cpuMillicores)
        reserve(.memoryNodeReservation, totals.memoryRequestBytes, of: allocatable.memoryBytes)
        if let all = capacity.ephemeralStorageBytes, let usable = allocatable.ephemeralStorageBytes
        {
            values[.ephemeralStorageNodeCapacity] = Double(all)
            values[.ephemeralStorageNodeAllocatable] = Double(usable)
            reserve(
                .ephemeralStorageNodeReservation, totals.ephemeralStorageRequestBytes, of: usable)
        }
    }

    private mutating func reserve(_ metric: MetricID, _ request: Int64, of allocatable: Int64?) {
        guard let allocatable, allocatable > 0 else { return }
        values[metric] = Double(request) / Double(allocatable)
    }
}
