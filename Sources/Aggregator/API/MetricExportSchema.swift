import Wire

/// The schema of the export: Heapster's 28 metrics and their labels, in its words, because programs
/// have read them.
enum MetricExportSchema {
    private struct Item {
        let metric: MetricID
        let description: StaticString
        let isCumulative: Bool
        let units: StaticString?
        var isDouble = false

        init(
            _ metric: MetricID, _ description: StaticString, cumulative: Bool = false,
            units: StaticString? = nil, isDouble: Bool = false
        ) {
            self.metric = metric
            self.description = description
            self.isCumulative = cumulative
            self.units = units
            self.isDouble = isDouble
        }
    }

    private static let plain: [Item] = [
        Item(
            .uptime, "Number of milliseconds since the container was started", cumulative: true,
            units: "ms"),
        Item(.cpuUsage, "Cumulative CPU usage on all cores", cumulative: true, units: "ns"),
        Item(.cpuLoad, "CPU load"),
        Item(.ephemeralStorageUsage, "Ephemeral storage usage", units: "bytes"),
        Item(.memoryUsage, "Total memory usage", units: "bytes"),
        Item(.memoryRSS, "RSS memory", units: "bytes"),
        Item(.memoryCache, "Cache memory", units: "bytes"),
        Item(
            .memoryWorkingSet,
            "Total working set usage. Working set is the memory being used and not easily dropped by the kernel",
            units: "bytes"),
        Item(.memoryPageFaults, "Number of page faults", cumulative: true),
        Item(.memoryMajorPageFaults, "Number of major page faults", cumulative: true),
        Item(
            .networkReceiveBytes, "Cumulative number of bytes received over the network",
            cumulative: true, units: "bytes"),
        Item(
            .networkReceiveErrors, "Cumulative number of errors while receiving over the network",
            cumulative: true),
        Item(
            .networkTransmitBytes, "Cumulative number of bytes sent over the network",
            cumulative: true, units: "bytes"),
        Item(
            .networkTransmitErrors, "Cumulative number of errors while sending over the network",
            cumulative: true),
        Item(.cpuLimit, "CPU hard limit in millicores."),
        Item(.memoryLimit, "Memory hard limit in bytes.", units: "bytes"),
    ]

    private static let labeled: [Item] = [
        Item(
            .diskReadBytes, "Cumulative number of bytes read over disk", cumulative: true,
            units: "bytes"),
        Item(
            .diskReadBytesRate, "Rate of bytes read over disk in bytes per second", isDouble: true),
        Item(
            .diskWriteBytes, "Cumulative number of bytes write over disk", cumulative: true,
            units: "bytes"),
        Item(
            .diskWriteBytesRate, "Rate of bytes written over disk in bytes per second",
            isDouble: true),
        Item(
            .filesystemUsage, "Total number of bytes consumed on a filesystem", units: "bytes"),
        Item(.filesystemLimit, "The total size of filesystem in bytes", units: "bytes"),
        Item(
            .filesystemAvailable, "The number of available bytes remaining in a the filesystem",
            units: "bytes"),
        Item(.filesystemInodes, "Total number of inodes on a filesystem", units: "bytes"),
        Item(.filesystemInodesFree, "Free number of inodes on a filesystem", units: "bytes"),
        Item(.acceleratorMemoryTotal, "Total accelerator memory (in bytes)", units: "bytes"),
        Item(
            .acceleratorMemoryUsed, "Total accelerator memory allocated (in bytes)", units: "bytes"),
        Item(
            .acceleratorDutyCycle,
            "Percent of time over the past sample period (10s) during which the accelerator was actively processing"
        ),
    ]

    private static let resource: [(StaticString, StaticString)] = [
        ("resource_id", "Identifier(s) specific to a metric")
    ]

    private static let accelerator: [(StaticString, StaticString)] = [
        ("make", "Make of the accelerator (nvidia, amd, google etc.)"),
        ("model", "Model of the accelerator (tesla-p100, tesla-k80 etc.)"),
        ("accelerator_id", "ID of the accelerator"),
    ]

    private static let common: [(StaticString, StaticString)] = [
        ("nodename", "nodename where the container ran"),
        ("hostname", "Hostname where the container ran"),
        ("host_id", "Identifier specific to a host. Set by cloud provider or user"),
        (
            "container_name",
            "User-provided name of the container or full container name for system containers"
        ),
        (
            "container_base_image",
            "User-defined image name that is run inside the container"
        ),
    ]

    private static let pod: [(StaticString, StaticString)] = [
        ("pod_name", "The name of the pod"), ("pod_id", "The unique ID of the pod"),
        ("namespace_id", "The UID of namespace of the pod"),
        ("labels", "Comma-separated list of user-provided labels"),
    ]

    private static let plainMetrics = Set(plain.map(\.metric))
    private static let labeledMetrics = Set(labeled.map(\.metric))
    private static let cumulativeNames = Set(
        (plain + labeled).filter(\.isCumulative).map { Catalog.metric($0.metric).name })

    static func hasPlain(_ key: MetricKey) -> Bool {
        if case .catalogue(let metric) = key { return plainMetrics.contains(metric) }
        return false
    }

    static func hasLabeled(_ key: MetricKey) -> Bool {
        if case .catalogue(let metric) = key { return labeledMetrics.contains(metric) }
        return false
    }

    static func isCumulative(_ name: String) -> Bool { cumulativeNames.contains(name) }

    static func encode() -> [UInt8] {
        var writer = JSONWriter(.indented)
        writer.beginObject()
        writer.key("metrics")
        writer.beginArray()
        for item in plain { write(item, labels: [], into: &writer) }
        for item in labeled {
            let isAccelerator = Catalog.metric(item.metric).name.hasPrefix("accelerator/")
            write(item, labels: isAccelerator ? accelerator : resource, into: &writer)
        }
        writer.endArray()
        writer.key("common_labels")
        write(common, into: &writer)
        writer.key("pod_labels")
        write(pod, into: &writer)
        writer.endObject()
        return writer.bytes
    }

    private static func write(
        _ item: Item, labels: [(StaticString, StaticString)], into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("name")
        writer.string(Catalog.metric(item.metric).name)
        writer.key("description")
        writer.string(item.description.description)
        if !labels.isEmpty {
            writer.key("labels")
            write(labels, into: &writer)
        }
        writer.key("type")
        writer.string(item.isCumulative ? "cumulative" : "gauge")
        writer.key("value_type")
        writer.string(item.isDouble ? "double" : "int64")
        if let units = item.units {
            writer.key("units")
            writer.string(units.description)
        }
        writer.endObject()
    }

    private static func write(
        _ labels: [(StaticString, StaticString)], into writer: inout JSONWriter
    ) {
        writer.beginArray()
        for (key, description) in labels {
            writer.beginObject()
            writer.key("key")
            writer.string(key.description)
            writer.key("description")
            writer.string(description.description)
            writer.endObject()
        }
        writer.endArray()
    }
}
