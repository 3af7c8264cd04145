/// Reads one pod. Specification and status may come in either order; they are put together at the end.
struct PodReader {
    var pod = Pod.Parts()
    private var statuses: [Status] = []

    private struct Status {
        var name = ""
        var id = ContainerID.none
        var startedMilliseconds: Int64 = 0
        var restartCount: Int32 = 0
        var role: Pod.Container.Role
        var isReady = false
        var isRunning = false
    }

    mutating func read(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder
    ) throws(JSONError) -> ObjectDecoder.Metadata {
        var metadata = ObjectDecoder.Metadata()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "metadata": metadata = try decoder.metadata(&json)
            case "spec": try readSpecification(&json, &decoder)
            case "status": try readStatus(&json, &decoder)
            default: try json.skip()
            }
        }
        pod.namespace = metadata.namespace
        pod.name = metadata.name
        pod.uid = metadata.uid
        pod.labels = metadata.labels
        pod.controller = metadata.controller
        pod.configHash = metadata.configHash
        pod.isTerminating = metadata.isTerminating
        combine()
        return metadata
    }

    /// Gives each container of the specification its status.
    private mutating func combine() {
        for status in statuses {
            let place = pod.containers.firstIndex { container in
                container.name == status.name
                    && (container.role == status.role
                        || container.role == .sidecar && status.role == .initial)
            }
            guard let place else { continue }
            pod.containers[place].id = status.id
            pod.containers[place].startedMilliseconds = status.startedMilliseconds
            pod.containers[place].restartCount = status.restartCount
            pod.containers[place].isReady = status.isReady
            pod.containers[place].isRunning = status.isRunning
        }
        let ranks: [Pod.Container.Role: Int] = [
            .regular: 0, .initial: 1, .sidecar: 1, .ephemeral: 2,
        ]
        let isInOrder = zip(pod.containers, pod.containers.dropFirst()).allSatisfy {
            ranks[$0.role, default: 0] <= ranks[$1.role, default: 0]
        }
        if !isInOrder {
            pod.containers.sort { ranks[$0.role, default: 0] < ranks[$1.role, default: 0] }
        }
    }

    // MARK: Specification

    private mutating func readSpecification(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "nodeName": pod.nodeName = decoder.nodeName(try json.string())
            case "hostNetwork": pod.isHostNetwork = try json.boolean()
            case "containers": try readContainers(&json, &decoder, .regular)
            case "initContainers": try readContainers(&json, &decoder, .initial)
            case "ephemeralContainers": try readContainers(&json, &decoder, .ephemeral)
            default: try json.skip()
            }
        }
    }

    private mutating func readContainers(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder, _ role: Pod.Container.Role
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginArray()
        while try json.nextElement() {
            var container = Pod.Container(name: "", image: "", role: role)
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "name": container.name = decoder.texts.string(try json.string())
                case "image": container.image = decoder.texts.string(try json.string())
                case "resources": container.resources = try resources(&json, &decoder)
                case "restartPolicy":
                    // An initial container that always restarts runs beside the regular ones.
                    let policy = try json.string()
                    if role == .initial, "Always" ~= policy { container.role = .sidecar }
                default: try json.skip()
                }
            }
            pod.containers.append(container)
        }
    }

    private func resources(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder
    ) throws(JSONError) -> ContainerResources {
        if try json.takeNull() { return .none }
        var requests = ResourceAmounts()
        var limits = ResourceAmounts()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "requests": requests = try decoder.amounts(&json, field: "resources.requests")
            case "limits": limits = try decoder.amounts(&json, field: "resources.limits")
            default: try json.skip()
            }
        }
        return decoder.shared(requests, limits)
    }

    // MARK: Status

    private mutating func readStatus(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "phase": pod.phase = Self.phase(try json.string())
            case "qosClass": pod.qosClass = Self.qosClass(try json.string())
            case "startTime":
                pod.startTimeMilliseconds = try decoder.time(&json, field: "status.startTime")
            case "containerStatuses": try readStatuses(&json, &decoder, .regular)
            case "initContainerStatuses": try readStatuses(&json, &decoder, .initial)
            case "ephemeralContainerStatuses": try readStatuses(&json, &decoder, .ephemeral)
            default: try json.skip()
            }
        }
    }

    private mutating func readStatuses(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder, _ role: Pod.Container.Role
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginArray()
        while try json.nextElement() {
            var status = Status(role: role)
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "name": status.name = decoder.texts.string(try json.string())
                case "containerID":
                    status.id = try json.string().withUTF8 { ContainerID(statusText: $0) }
                case "restartCount": status.restartCount = Int32(clamping: try json.integer())
                case "ready": status.isReady = try json.boolean()
                case "state": try readState(&json, &decoder, &status)
                default: try json.skip()
                }
            }
            statuses.append(status)
        }
    }

    private func readState(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder, _ status: inout Status
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            let isRunning = "running" ~= key
            guard isRunning || "terminated" ~= key else {
                try json.skip()
                continue
            }
            if try json.takeNull() { continue }
            status.isRunning = isRunning
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "startedAt":
                    status.startedMilliseconds = try decoder.time(&json, field: "startedAt")
                default: try json.skip()
                }
            }
        }
    }

    private static func phase(_ text: JSONText) -> Pod.Phase {
        switch text {
        case "Pending": .pending
        case "Running": .running
        case "Succeeded": .succeeded
        case "Failed": .failed
        default: .unknown
        }
    }

    private static func qosClass(_ text: JSONText) -> Pod.QOSClass {
        switch text {
        case "Guaranteed": .guaranteed
        case "Burstable": .burstable
        case "BestEffort": .bestEffort
        default: .unknown
        }
    }
}
