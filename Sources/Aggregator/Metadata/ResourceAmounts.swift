/// Amounts of resources: a container's requests or limits, a node's capacity or allocatable.
///
/// Rounded as Heapster does: processor time to millicores, all others to whole units, both up.
struct ResourceAmounts: Hashable, Sendable {
    /// Thousandths of a core; `nil` where it is not given.
    var cpuMillicores: Int64?
    var memoryBytes: Int64?
    var ephemeralStorageBytes: Int64?
    /// All others (`nvidia.com/gpu`, `hugepages-2Mi`, `pods`), in the order of their names.
    var others: [Other] = []

    /// A resource besides processor, memory and local storage, in whole units.
    struct Other: Hashable, Sendable {
        let name: String
        let value: Int64
    }

    mutating func set(_ name: String, to quantity: Quantity) {
        switch name {
        case "cpu": cpuMillicores = quantity.milliValue
        case "memory": memoryBytes = quantity.value
        case "ephemeral-storage": ephemeralStorageBytes = quantity.value
        default:
            let place =
                others.firstIndex { !$0.name.utf8.lexicographicallyPrecedes(name.utf8) }
                ?? others.count
            let other = Other(name: name, value: quantity.value)
            if place < others.count, others[place].name == name {
                others[place] = other
            } else {
                others.insert(other, at: place)
            }
        }
    }
}

/// What a container asks for and may use at most. Immutable and shared between equal containers.
final class ContainerResources: Sendable, Hashable {
    let requests: ResourceAmounts
    let limits: ResourceAmounts

    static let none = ContainerResources(requests: ResourceAmounts(), limits: ResourceAmounts())

    init(requests: ResourceAmounts, limits: ResourceAmounts) {
        self.requests = requests
        self.limits = limits
    }

    static func == (a: ContainerResources, b: ContainerResources) -> Bool {
        a === b || a.requests == b.requests && a.limits == b.limits
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(requests)
        hasher.combine(limits)
    }
}
