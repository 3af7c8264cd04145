import Wire

/// What lists of pods read of a joined node, laid out flat: whose turn it is, and where the figures
/// are. What they say beside figures is in `PodTexts`. Immutable.
final class NodePods: @unchecked Sendable {
    // The buffers are written in `init` only.

    /// A pod of `joined.pods`, at the same index.
    struct Pod {
        /// `namespace`, a zero byte, `name`: bytes by which pods are in order.
        let key: Range<Int32>
        /// Index into `containers`.
        let containers: Range<Int32>
        /// Whether the apiserver knows it, and it has a container to list: others are in no list.
        let isListed: Bool
    }

    let joined: JoinedNode
    let keys: UnsafeRawBufferPointer
    let pods: UnsafeBufferPointer<Pod>
    /// Containers that run and have a working set, pod by pod.
    let containers: UnsafeBufferPointer<UsagePlace>

    init(_ joined: JoinedNode) {
        self.joined = joined
        var keys: [UInt8] = []
        var pods: [Pod] = []
        var containers: [UsagePlace] = []
        pods.reserveCapacity(joined.pods.count)
        for pod in joined.pods {
            let start = Int32(keys.count)
            keys.append(contentsOf: pod.namespace.utf8)
            keys.append(0)
            keys.append(contentsOf: pod.name.utf8)
            let first = Int32(containers.count)
            for container in pod.containers {
                guard let subject = container.subject,
                    let column = subject.columns.column(of: .memoryWorkingSet)
                else { continue }
                containers.append(UsagePlace(slot: subject.slot, memoryColumn: Int32(column)))
            }
            let places = first..<Int32(containers.count)
            pods.append(
                Pod(
                    key: start..<Int32(keys.count), containers: places,
                    isListed: pod.metadata != nil && !places.isEmpty))
        }
        self.keys = UnsafeRawBufferPointer(Self.copied(keys))
        self.pods = Self.copied(pods)
        self.containers = Self.copied(containers)
    }

    deinit {
        keys.deallocate()
        pods.deallocate()
        containers.deallocate()
    }

    private static func copied<Element>(_ elements: [Element]) -> UnsafeBufferPointer<Element> {
        let copy = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = copy.initialize(from: elements)
        return UnsafeBufferPointer(copy)
    }
}

extension JoinedContainer {
    /// Whether lists have it: it runs and has a working set.
    var isListed: Bool { subject?.columns.column(of: .memoryWorkingSet) != nil }
}

extension JoinedPod {
    /// Those that lists have.
    var listedContainers: [JoinedContainer] { containers.filter(\.isListed) }
}
