/// What is said of a pod beside figures, in the memory of `PodTexts`: byte counts of its parts, and the
/// parts one after the other, first as JSON, then as Protocol Buffers.
struct PodText {
    static let alignment = 8

    private let base: UnsafeRawPointer

    init(base: UnsafeRawPointer) { self.base = base }

    /// `PodMetrics` as JSON. The head goes from the object's start to where `creationTimestamp` is to be,
    /// the labels from there to where `timestamp` is to be, a container's part from its start to where
    /// its CPU is to be.
    var json: Form { form(counts: 3, texts: 0) }

    /// `PodMetrics` as Protocol Buffers. The head is what `ObjectMeta` has before `creationTimestamp`,
    /// the labels what it has after it, a container's part its name.
    var protobuf: Form { form(counts: 5 + containerCount, texts: count(1)) }

    /// The parts of one form.
    struct Form {
        let containerCount: Int
        fileprivate let counts: UnsafeRawPointer
        fileprivate let texts: UnsafeRawPointer

        var head: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: texts, count: count(0))
        }
        var labels: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: texts + count(0), count: count(1))
        }

        /// Shows each container's part.
        @inline(__always)
        func forEachContainer(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
            var text = texts + count(0) + count(1)
            for index in 0..<containerCount {
                let byteCount = count(2 + index)
                body(index, UnsafeRawBufferPointer(start: text, count: byteCount))
                text += byteCount
            }
        }

        private func count(_ index: Int) -> Int {
            Int(truncatingIfNeeded: counts.load(fromByteOffset: 4 * index, as: UInt32.self))
        }
    }

    var containerCount: Int { count(0) }
    /// Of all parts of either form together.
    var jsonByteCount: Int { count(1) }
    var protobufByteCount: Int { count(2) }

    var recordByteCount: Int {
        Self.recordByteCount(
            containers: containerCount, texts: jsonByteCount + protobufByteCount)
    }

    var record: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: recordByteCount)
    }

    private func count(_ index: Int) -> Int {
        Int(truncatingIfNeeded: base.load(fromByteOffset: 4 * index, as: UInt32.self))
    }

    private func form(counts: Int, texts: Int) -> Form {
        Form(
            containerCount: containerCount, counts: base + 4 * counts,
            texts: base + Self.headerByteCount(containers: containerCount) + texts)
    }

    /// Containers, JSON's and Protocol Buffers' bytes; of each form head, labels and containers.
    private static func headerByteCount(containers: Int) -> Int { 4 * (7 + 2 * containers) }

    private static func recordByteCount(containers: Int, texts: Int) -> Int {
        (headerByteCount(containers: containers) + texts + alignment - 1) & ~(alignment - 1)
    }
}

extension PodText {
    /// A text that is being made.
    struct Parts {
        private var json: [[UInt8]] = []
        private var protobuf: [[UInt8]] = []

        init(_ pod: JoinedPod) {
            json = [Self.jsonHead(pod), Self.jsonLabels(pod)]
            protobuf = [Self.protobufHead(pod), Self.protobufLabels(pod)]
            for container in pod.listedContainers {
                var text = JSONWriter()
                text.bytes.append(contentsOf: #"{"name":"#.utf8)
                text.string(container.name)
                text.bytes.append(contentsOf: #","usage":{"cpu":""#.utf8)
                json.append(text.bytes)
                var name: [UInt8] = []
                Protobuf.append(1, string: container.name, to: &name)
                protobuf.append(name)
            }
        }

        var recordByteCount: Int {
            PodText.recordByteCount(
                containers: json.count - 2, texts: byteCount(json) + byteCount(protobuf))
        }

        private func byteCount(_ parts: [[UInt8]]) -> Int { parts.reduce(0) { $0 + $1.count } }

        func write(to memory: UnsafeMutableRawBufferPointer) {
            let counts =
                [json.count - 2, byteCount(json), byteCount(protobuf)]
                + json.map(\.count) + protobuf.map(\.count)
            for (index, count) in counts.enumerated() {
                memory.storeBytes(of: UInt32(count), toByteOffset: 4 * index, as: UInt32.self)
            }
            var offset = 4 * counts.count
            for part in json + protobuf {
                UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyBytes(from: part)
                offset += part.count
            }
        }

        private static func jsonHead(_ pod: JoinedPod) -> [UInt8] {
            var text = JSONWriter()
            text.bytes.append(contentsOf: #"{"metadata":{"name":"#.utf8)
            text.string(pod.name)
            text.bytes.append(contentsOf: #","namespace":"#.utf8)
            text.string(pod.namespace)
            text.bytes.append(contentsOf: #","creationTimestamp":""#.utf8)
            return text.bytes
        }

        private static func jsonLabels(_ pod: JoinedPod) -> [UInt8] {
            var text = JSONWriter()
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
            return text.bytes
        }

        /// `name` and `namespace` (k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto).
        private static func protobufHead(_ pod: JoinedPod) -> [UInt8] {
            var bytes: [UInt8] = []
            Protobuf.append(1, string: pod.name, to: &bytes)
            Protobuf.append(3, string: pod.namespace, to: &bytes)
            return bytes
        }

        /// `labels`, a map.
        private static func protobufLabels(_ pod: JoinedPod) -> [UInt8] {
            var bytes: [UInt8] = []
            for label in pod.metadata?.labels.labels ?? [] {
                Protobuf.append(11, key: label.key, value: label.value, to: &bytes)
            }
            return bytes
        }
    }
}
