/// What a store with Prometheus's API answers: series with points, or names.
struct PrometheusAnswer {
    struct Series {
        /// Milliseconds since the epoch, in rising order.
        var points: [(time: Int64, value: Double)] = []
    }

    private(set) var series: [Series] = []
    private(set) var names: [String] = []
    private(set) var error = ""

    init(_ bytes: [UInt8]) throws(JSONError) {
        try JSONScanner.read(bytes) { (json) throws(JSONError) in
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "error": error = try json.string().string
                case "data": try readData(&json)
                default: try json.skip()
                }
            }
        }
    }

    private mutating func readData(_ json: inout JSONScanner) throws(JSONError) {
        if try json.takeNull() { return }
        guard try json.peek() == UInt8(ascii: "{") else {
            names = try json.strings()
            return
        }
        try json.beginObject()
        while let key = try json.nextKey() {
            guard key.string == "result", try json.peek() == UInt8(ascii: "[") else {
                try json.skip()
                continue
            }
            try json.beginArray()
            while try json.nextElement() { try readSeries(&json) }
        }
    }

    private mutating func readSeries(_ json: inout JSONScanner) throws(JSONError) {
        var found = Series()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "value": found.points.append(try Self.point(&json))
            case "values":
                try json.beginArray()
                while try json.nextElement() { found.points.append(try Self.point(&json)) }
            default: try json.skip()
            }
        }
        series.append(found)
    }

    /// `[seconds, "number"]`.
    private static func point(
        _ json: inout JSONScanner
    ) throws(JSONError) -> (time: Int64, value: Double) {
        var point: (time: Int64, value: Double) = (0, .nan)
        var place = 0
        try json.beginArray()
        while try json.nextElement() {
            switch place {
            case 0:
                point.time = Int64(exactly: (try json.number().double * 1_000).rounded()) ?? 0
            case 1: point.value = Double(try json.string().string) ?? .nan
            default: try json.skip()
            }
            place += 1
        }
        return point
    }
}
