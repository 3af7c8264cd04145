import Wire

/// Points of Cloud Monitoring version 3
/// (<https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/create>).
struct TimeSeriesWriter: Sendable {
    private(set) var json = JSONWriter()
    private var end = ""

    mutating func begin(cycle: Int64) { end = RFC3339.string(milliseconds: cycle) }

    /// - Parameter start: milliseconds since the epoch for cumulative values; `nil` for gauges.
    mutating func series(
        metric: String, metricLabels: [(String, String)], resource: String,
        resourceLabels: [(String, String)], start: Int64?, value: MetricValue
    ) {
        json.bytes.removeAll(keepingCapacity: true)
        json.beginObject()
        json.key("metric")
        typed(metric, metricLabels)
        if !resource.isEmpty {
            json.key("resource")
            typed(resource, resourceLabels)
        }
        json.key("metricKind")
        json.string(start == nil ? "GAUGE" : "CUMULATIVE")
        json.key("valueType")
        let (type, name): (String, String) =
            if case .integer = value { ("INT64", "int64Value") } else { ("DOUBLE", "doubleValue") }
        json.string(type)
        json.key("points")
        json.beginArray()
        json.beginObject()
        json.key("interval")
        json.beginObject()
        json.key("startTime")
        json.string(start.map { RFC3339.string(milliseconds: $0) } ?? end)
        json.key("endTime")
        json.string(end)
        json.endObject()
        json.key("value")
        json.beginObject()
        json.key(name)
        switch value {
        // 64 bits go as text in Google's JSON.
        case .integer(let whole): json.string(String(whole))
        case .float(let number): json.double(number)
        }
        json.endObject()
        json.endObject()
        json.endArray()
        json.endObject()
    }

    private mutating func typed(_ type: String, _ labels: [(String, String)]) {
        json.beginObject()
        json.key("type")
        json.string(type)
        json.key("labels")
        json.beginObject()
        for (key, value) in labels {
            json.key(key)
            json.string(value)
        }
        json.endObject()
        json.endObject()
    }

    static let envelope = RequestEnvelope(
        open: Array("{\"timeSeries\":[".utf8), separator: Array(",".utf8), close: Array("]}".utf8))
    /// The documented most series of a request.
    static let limits = RequestLimits(byteCountMax: 4 << 20, pointCountMax: 200)
}
