import Wire

/// Who was there and has gone: a pod, some of a pod's containers, a node, or some of its system
/// containers. What lists of the past need beside those who are there.
struct Departure: Equatable, Sendable {
    struct Pod: Equatable, Sendable {
        let namespace: String
        let name: String
        let uid: String
    }

    /// The newest step at which it may have been there, milliseconds since the epoch.
    let time: Int64
    let node: String
    /// Heapster's name of the node.
    let hostname: String
    /// Whose containers they are; `nil` for the node's own.
    let pod: Pod?
    let containers: [String]

    /// More than any node has; a count beyond it is damage.
    private static let containerCountMax = 65_536

    init(time: Int64, node: String, hostname: String, pod: Pod?, containers: [String]) {
        self.time = time
        self.node = node
        self.hostname = hostname
        self.pod = pod
        self.containers = containers
    }

    /// - Throws: `truncated`, `malformed`, `limitExceeded`.
    init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var reader = ByteReader(payload)
        time = try reader.signedVarint()
        node = try Self.text(&reader)
        hostname = try Self.text(&reader)
        if try reader.byte() == 0 {
            pod = nil
        } else {
            pod = Pod(
                namespace: try Self.text(&reader), name: try Self.text(&reader),
                uid: try Self.text(&reader))
        }
        let count = try reader.count("containers", limit: Self.containerCountMax)
        var found: [String] = []
        for _ in 0..<count { found.append(try Self.text(&reader)) }
        containers = found
        guard reader.isAtEnd else { throw .malformed(what: "departure", offset: reader.offset) }
    }

    func encode(into bytes: inout [UInt8]) {
        Varint.append(signed: time, to: &bytes)
        Self.append(node, to: &bytes)
        Self.append(hostname, to: &bytes)
        bytes.append(pod == nil ? 0 : 1)
        if let pod {
            Self.append(pod.namespace, to: &bytes)
            Self.append(pod.name, to: &bytes)
            Self.append(pod.uid, to: &bytes)
        }
        let containers = containers.prefix(Self.containerCountMax)
        Varint.append(UInt64(containers.count), to: &bytes)
        for name in containers { Self.append(name, to: &bytes) }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        Varint.append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func text(_ reader: inout ByteReader) throws(WireError) -> String {
        let bytes = try reader.take(try reader.count("text", limit: reader.remaining))
        return String(decoding: bytes, as: UTF8.self)
    }
}
