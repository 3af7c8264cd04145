import Wire

/// Rows for BigQuery's `insertAll`
/// (<https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll>) with the columns of cAdvisor's storage driver
/// of that name, and `cluster`, `namespace` and `pod`. The insert id makes a repeated row harmless.
struct BigQueryEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 4 << 20, pointCountMax: 500)
    let envelope = RequestEnvelope(
        open: Array(
            ("{\"kind\":\"bigquery#tableDataInsertAllRequest\",\"skipInvalidRows\":true,"
                + "\"ignoreUnknownValues\":true,\"rows\":[").utf8),
        separator: Array(",".utf8), close: Array("]}".utf8))
    private let clusterName: String
    private var cycle: Int64 = 0
    private var json = JSONWriter()

    private static let columns: [(MetricID, StaticString)] = [
        (.cpuUsage, "cpu_cumulative_usage"), (.cpuSystem, "cpu_cumulative_usage_system"),
        (.cpuUser, "cpu_cumulative_usage_user"), (.memoryUsage, "memory_usage"),
        (.memoryWorkingSet, "memory_working_set"),
        (.memoryPageFaults, "memory_container_pgfault"),
        (.memoryMajorPageFaults, "memory_container_pgmajfault"),
        (.networkReceiveBytes, "rx_bytes"), (.networkReceiveErrors, "rx_errors"),
        (.networkTransmitBytes, "tx_bytes"), (.networkTransmitErrors, "tx_errors"),
    ]

    init(clusterName: String) { self.clusterName = clusterName }

    mutating func begin(cycle: Int64) { self.cycle = cycle }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        guard [.node, .pod, .container, .systemContainer].contains(set.kind) else { return }
        let key = SetKey.text(of: set)
        beginRow(set, key)
        for (metric, column) in Self.columns {
            guard case .integer(let value) = set.value(metric) else { continue }
            json.key(column)
            json.integer(value)
        }
        endRow(&requests)
        // As cAdvisor: a row of its own for each filesystem.
        for child in ChildRuns(set.labeledValues) {
            var columns: [(StaticString, Int64)] = []
            for sample in child {
                if case .integer(let value) = sample.value {
                    if sample.metric == .catalogue(.filesystemUsage) {
                        columns.append(("fs_usage", value))
                    } else if sample.metric == .catalogue(.filesystemLimit) {
                        columns.append(("fs_limit", value))
                    }
                }
            }
            if columns.isEmpty { continue }
            let device = ChildName.text(of: child[child.startIndex].labels)
            beginRow(set, "\(key)|\(device)")
            json.key("fs_device")
            json.string(device)
            for (column, value) in columns {
                json.key(column)
                json.integer(value)
            }
            endRow(&requests)
        }
    }

    private mutating func beginRow(_ set: borrowing MetricSet, _ key: String) {
        var id: [UInt8] = []
        DocumentID(of: "\(clusterName)|\(key)").append(cycle: cycle, to: &id)
        json.bytes.removeAll(keepingCapacity: true)
        json.beginObject()
        json.key("insertId")
        json.string(String(decoding: id, as: UTF8.self))
        json.key("json")
        json.beginObject()
        json.key("timestamp")
        json.time(milliseconds: cycle)
        json.key("machine")
        json.string(set.label("nodename") ?? "")
        json.key("container_name")
        json.string(set.label("container_name") ?? (set.kind == .node ? "/" : ""))
        json.key("cluster")
        json.string(clusterName)
        for (label, column): (String, StaticString) in [
            ("namespace_name", "namespace"), ("pod_name", "pod"),
        ] {
            guard let value = set.label(label) else { continue }
            json.key(column)
            json.string(value)
        }
    }

    private mutating func endRow(_ requests: inout RequestBuilder) {
        json.endObject()
        json.endObject()
        requests.beginItem()
        requests.bytes.append(contentsOf: json.bytes)
        requests.endItem()
    }
}
