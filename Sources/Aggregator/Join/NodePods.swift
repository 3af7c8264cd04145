import Wire

/// What a list of a joined node's pods says and reads, laid out flat: a list of 150,000 pods touches
/// few lines of memory for each and counts no references. Immutable.
final class NodePods: @unchecked Sendable {
    // The buffers are written in `init` only.

    /// A pod of `joined.pods`, at the same index.
    struct Pod {
        /// `namespace`, a zero byte, `name`: bytes by which pods are in order.
        let key: Range<Int32>
        /// JSON from the object's start to where `creationTimestamp` is to be.
        let head: Range<Int32>
        /// JSON from there to where `timestamp` is to be: labels.
        let labels: Range<Int32>
        /// Index into `containers`.
        let containers: Range<Int32>
        /// Whether the apiserver knows it: others are in no list.
        let isNamed: Bool
    }

    /// A container that runs and has a working set.
    struct Container {
        let slot: Slot
        /// Of the working set in the subject's row.
        let memoryColumn: Int32
        /// JSON from the container's start to where its CPU is to be.
        let head: Range<Int32>
    }

    let joined: JoinedNode
    let text: UnsafeRawBufferPointer
    let pods: UnsafeBufferPointer<Pod>
    let containers: UnsafeBufferPointer<Container>

    init(_ joined: JoinedNode) {
        self.joined = joined
        var text = JSONWriter()
        var pods: [Pod] = []
        var containers: [Container] = []
        pods.reserveCapacity(joined.pods.count)
        for pod in joined.pods {
            let key = Self.append(to: &text) {
                $0.bytes.append(contentsOf: pod.namespace.utf8)
                $0.bytes.append(0)
                $0.bytes.append(contentsOf: pod.name.utf8)
            }
            let head = Self.append(to: &text) { Self.writeHead(pod, into: &$0) }
            let labels = Self.append(to: &text) { Self.writeLabels(pod, into: &$0) }
            let first = Int32(containers.count)
            for container in pod.containers {
                guard Self.isListed(container), let subject = container.subject,
                    let column = subject.columns.column(of: .memoryWorkingSet)
                else { continue }
                let head = Self.append(to: &text) { text in
                    text.bytes.append(contentsOf: #"{"name":"#.utf8)
                    text.string(container.name)
                    text.bytes.append(contentsOf: #","usage":{"cpu":""#.utf8)
                }
                containers.append(
                    Container(slot: subject.slot, memoryColumn: Int32(column), head: head))
            }
            pods.append(
                Pod(
                    key: key, head: head, labels: labels,
                    containers: first..<Int32(containers.count), isNamed: pod.metadata != nil))
        }
        self.text = text.bytes.withUnsafeBytes { bytes in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
            copy.copyMemory(from: bytes)
            return UnsafeRawBufferPointer(copy)
        }
        self.pods = Self.copied(pods)
        self.containers = Self.copied(containers)
    }

    deinit {
        text.deallocate()
        pods.deallocate()
        containers.deallocate()
    }

    /// Whether a container is among `containers`: it runs and has a working set.
    static func isListed(_ container: JoinedContainer) -> Bool {
        container.subject?.columns.column(of: .memoryWorkingSet) != nil
    }

    /// Valid as long as this object.
    func text(_ range: Range<Int32>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text[Int(range.lowerBound)..<Int(range.upperBound)])
    }

    private static func append(
        to text: inout JSONWriter, _ body: (inout JSONWriter) -> Void
    ) -> Range<Int32> {
        let start = Int32(text.bytes.count)
        body(&text)
        return start..<Int32(text.bytes.count)
    }

    private static func writeHead(_ pod: JoinedPod, into text: inout JSONWriter) {
        text.bytes.append(contentsOf: #"{"metadata":{"name":"#.utf8)
        text.string(pod.name)
        text.bytes.append(contentsOf: #","namespace":"#.utf8)
        text.string(pod.namespace)
        text.bytes.append(contentsOf: #","creationTimestamp":""#.utf8)
    }

    private static func writeLabels(_ pod: JoinedPod, into text: inout JSONWriter) {
        text.bytes.append(UInt8(ascii: "\""))
        if let labels = pod.metadata?.labels.labels, !labels.isEmpty {
            text.bytes.append(contentsOf: #","labels":{"#.utf8)
            for (index, label) in labels.enumerated() {
                if index > 0 { text.bytes.append(UInt8(ascii: ",")) }
                text.string(label.key)
                text.bytes.append(UInt8(ascii: ":"))
                text.string(label.value)
            }
            text.bytes.append(UInt8(ascii: "}"))
        }
        text.bytes.append(contentsOf: #"},"timestamp":""#.utf8)
    }

    private static func copied<Element>(_ elements: [Element]) -> UnsafeBufferPointer<Element> {
        let copy = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = copy.initialize(from: elements)
        return UnsafeBufferPointer(copy)
    }
}
