import Foundation
import Wire

/// Writes the simulated pods as a Kubernetes PodList, pod by pod: 150,000 of them are never in
/// memory as objects.
struct PodListWriter {
    private var buffer = Data()
    private let handle: FileHandle
    private let temporaryPath: String
    private let path: String
    private var isFirst = true

    init(path: String) throws {
        self.path = path
        temporaryPath = path + ".part"
        guard FileManager.default.createFile(atPath: temporaryPath, contents: nil),
            let handle = FileHandle(forWritingAtPath: temporaryPath)
        else { throw FleetFailure.usage("cannot write \(temporaryPath)") }
        self.handle = handle
        append(#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#)
    }

    mutating func add(_ names: SimulatedNames, _ pod: SimulatedStream.Pod) {
        let start = timestamp(pod.startMilliseconds)
        var containers: [String] = []
        var statuses: [String] = []
        for (index, container) in pod.containers.enumerated() {
            let image = "registry.example/app-\(pod.serial % 97):1.\(index)"
            containers.append(
                """
                {"name":"c\(index)","image":"\(image)","resources":{"requests":{"cpu":"100m",\
                "memory":"128Mi"},"limits":{"cpu":"500m","memory":"512Mi"}}}
                """)
            statuses.append(
                """
                {"name":"c\(index)","image":"\(image)","imageID":"","ready":true,\
                "restartCount":0,"containerID":"containerd://\(names.containerID(container.serial))",\
                "state":{"running":{"startedAt":"\(timestamp(container.startMilliseconds))"}}}
                """)
        }
        let application = "app-\(pod.serial % 97)"
        let controller = controller(of: application, in: names.namespace(pod.serial))
        append(isFirst ? "\n" : ",\n")
        isFirst = false
        append(
            """
            {"metadata":{"name":"\(names.podName(pod.serial))","namespace":\
            "\(names.namespace(pod.serial))","uid":"\(names.podUID(pod.serial))",\
            "resourceVersion":"1","creationTimestamp":"\(start)","labels":{"app":"\(application)"},\
            "ownerReferences":[\(controller)]},\
            "spec":{"nodeName":"\(names.nodeName)","containers":[\(containers.joined(separator: ","))]},\
            "status":{"phase":"Running","startTime":"\(start)","containerStatuses":\
            [\(statuses.joined(separator: ","))]}}
            """)
        if buffer.count > 1 << 20 { flush() }
    }

    /// All pods of a namespace that run the same program belong to one stateful set.
    private func controller(of application: String, in namespace: String) -> String {
        let number = "\(namespace)/\(application)".utf8.reduce(0) { SplitMix.mix($0 ^ UInt64($1)) }
        let uid = String(format: "%08x-0000-4000-8000-%012x", number >> 32, number & 0xFFFF_FFFF)
        return """
            {"apiVersion":"apps/v1","kind":"StatefulSet","name":"\(application)","uid":"\(uid)",\
            "controller":true}
            """
    }

    /// Puts the whole file in its place.
    mutating func finish() throws {
        append("]}\n")
        flush()
        try handle.close()
        guard rename(temporaryPath, path) == 0 else {
            throw FleetFailure.usage("cannot write \(path)")
        }
    }

    private mutating func append(_ text: String) { buffer.append(contentsOf: text.utf8) }

    private mutating func flush() {
        handle.write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    private func timestamp(_ milliseconds: Int64) -> String {
        RFC3339.string(milliseconds: milliseconds / 1_000 * 1_000)
    }
}
