/// What InfluxDB 1 answers to `/query`
/// (<https://docs.influxdata.com/influxdb/v1/guides/query_data/>).
struct InfluxAnswer {
    enum Cell: Equatable {
        case number(Double)
        case text(String)
        /// Null, true or false.
        case other
    }

    struct Series {
        var name = ""
        var columns: [String] = []
        var rows: [[Cell]] = []

        /// The texts of a column.
        func texts(_ column: String) -> [String] {
            guard let place = columns.firstIndex(of: column) else { return [] }
            return rows.compactMap { row in
                guard row.indices.contains(place), case .text(let text) = row[place] else {
                    return nil
                }
                return text
            }
        }
    }

    struct Statement {
        var series: [Series] = []
    }

    private(set) var results: [Statement] = []
    /// The first that is there, of a statement or of all.
    private(set) var error: String?

    init(_ bytes: [UInt8]) throws(JSONError) {
        try JSONScanner.read(bytes) { (json) throws(JSONError) in
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "error": error = try json.string().string
                case "results":
                    if try json.takeNull() { continue }
                    try json.beginArray()
                    while try json.nextElement() { try readResult(&json) }
                default: try json.skip()
                }
            }
        }
    }

    private mutating func readResult(_ json: inout JSONScanner) throws(JSONError) {
        var result = Statement()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "error":
                let text = try json.string().string
                if error == nil { error = text }
            case "series":
                try json.beginArray()
                while try json.nextElement() { result.series.append(try Self.series(&json)) }
            default: try json.skip()
            }
        }
        results.append(result)
    }

    private static func series(_ json: inout JSONScanner) throws(JSONError) -> Series {
        var series = Series()
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "name": series.name = try json.string().string
            case "columns": series.columns = try json.strings()
            case "values":
                try json.beginArray()
                while try json.nextElement() {
                    var row: [Cell] = []
                    try json.beginArray()
                    while try json.nextElement() { row.append(try value(&json)) }
                    series.rows.append(row)
                }
            default: try json.skip()
            }
        }
        return series
    }

    private static func value(_ json: inout JSONScanner) throws(JSONError) -> Cell {
        switch try json.peek() {
        case UInt8(ascii: "\""): return .text(try json.string().string)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return .number(try json.number().double)
        default:
            try json.skip()
            return .other
        }
    }
}
