/// What Go's `time.Parse` says of a text that is not RFC 3339: Heapster's answers carry it.
enum GoTimeError {
    private static let layout = "2006-01-02T15:04:05Z07:00"

    /// Fields of the layout: digits, what stands after them, and the largest value.
    private static let fields: [(text: String, digits: Int, largest: Int, name: String)] = [
        ("2006", 4, 9_999, "year"), ("-", 0, 0, ""), ("01", 2, 12, "month"), ("-", 0, 0, ""),
        ("02", 2, 31, "day"), ("T", 0, 0, ""), ("15", 2, 23, "hour"), (":", 0, 0, ""),
        ("04", 2, 59, "minute"), (":", 0, 0, ""), ("05", 2, 59, "second"),
    ]

    static func message(parsing text: String) -> String {
        let prefix = "parsing time \"\(text)\""
        var rest = Substring(text)
        for field in fields {
            guard field.digits > 0 else {
                guard rest.hasPrefix(field.text) else {
                    return cannotParse(prefix, rest, as: field.text)
                }
                rest = rest.dropFirst()
                continue
            }
            let digits = rest.prefix(field.digits)
            guard digits.utf8.count == field.digits, let value = Int(digits),
                digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
            else { return cannotParse(prefix, rest, as: field.text) }
            let smallest = field.name == "month" || field.name == "day" ? 1 : 0
            guard value >= smallest, value <= field.largest else {
                return "\(prefix): \(field.name) out of range"
            }
            rest = rest.dropFirst(field.digits)
        }
        if rest.hasPrefix(".") {
            let fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            if !fraction.isEmpty { rest = rest.dropFirst(fraction.count + 1) }
        }
        if rest.hasPrefix("Z") {
            return rest.count > 1
                ? "\(prefix): extra text: \"\(rest.dropFirst())\"" : "\(prefix): day out of range"
        }
        let zone = Array(rest.utf8.prefix(6))
        let isZone =
            zone.count == 6 && (zone[0] == UInt8(ascii: "+") || zone[0] == UInt8(ascii: "-"))
            && zone[3] == UInt8(ascii: ":")
            && [1, 2, 4, 5].allSatisfy { zone[$0] >= 0x30 && zone[$0] <= 0x39 }
        guard isZone else { return cannotParse(prefix, rest, as: "Z07:00") }
        return rest.utf8.count > 6
            ? "\(prefix): extra text: \"\(rest.dropFirst(6))\"" : "\(prefix): day out of range"
    }

    private static func cannotParse(
        _ prefix: String, _ rest: Substring, as element: String
    ) -> String {
        "\(prefix) as \"\(layout)\": cannot parse \"\(rest)\" as \"\(element)\""
    }
}
