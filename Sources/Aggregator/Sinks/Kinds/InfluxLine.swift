import Wire

/// One line of InfluxDB's line protocol, looked into only as far as sorting refused points needs:
/// `MEASUREMENT,TAG=VALUE FIELD=1i,FIELD=2.5 TIME`. Values are numbers; this program writes no others.
struct InfluxLine: Sendable, Equatable {
    /// Without the line end.
    let bytes: ArraySlice<UInt8>
    private let measurementEnd: Int
    private let fields: Range<Int>

    /// `nil` for a line that has no fields.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard let fieldsStart = Self.firstUnescaped(UInt8(ascii: " "), in: bytes) else {
            return nil
        }
        let rest = bytes[(fieldsStart + 1)...]
        let fieldsEnd = Self.firstUnescaped(UInt8(ascii: " "), in: rest) ?? bytes.endIndex
        guard fieldsEnd > rest.startIndex else { return nil }
        self.bytes = bytes
        fields = rest.startIndex..<fieldsEnd
        measurementEnd =
            Self.firstUnescaped(UInt8(ascii: ","), in: bytes[..<fieldsStart]) ?? fieldsStart
    }

    /// The lines of a body; `nil` where one is not a line.
    static func lines(of body: [UInt8]) -> [InfluxLine]? {
        var lines: [InfluxLine] = []
        for bytes in body.split(separator: UInt8(ascii: "\n")) {
            guard let line = InfluxLine(bytes) else { return nil }
            lines.append(line)
        }
        return lines
    }

    /// Points as sinks count them: values.
    var pointCount: Int {
        var (count, rest) = (1, bytes[fields])
        while let comma = Self.firstUnescaped(UInt8(ascii: ","), in: rest) {
            count += 1
            rest = rest[(comma + 1)...]
        }
        return count
    }

    /// Takes one field away.
    ///
    /// - Parameters:
    ///   - type: of the field's value, in InfluxDB's words; a word that is not known fits all.
    /// - Returns: the field in a line of its own, and what is left of the line, if anything is; `nil` where the
    ///   line has no such field.
    func removing(
        _ field: String, of measurement: String, type: String
    ) -> (removed: InfluxLine, rest: InfluxLine?)? {
        guard Self.isEqual(bytes[..<measurementEnd], measurement) else { return nil }
        var start = fields.lowerBound
        while start < fields.upperBound {
            let end =
                Self.firstUnescaped(UInt8(ascii: ","), in: bytes[start..<fields.upperBound])
                ?? fields.upperBound
            if let equals = Self.firstUnescaped(UInt8(ascii: "="), in: bytes[start..<end]),
                Self.isEqual(bytes[start..<equals], field),
                Self.fits(bytes[(equals + 1)..<end], type)
            {
                return split(at: start..<end)
            }
            start = end + 1
        }
        return nil
    }

    private func split(at field: Range<Int>) -> (removed: InfluxLine, rest: InfluxLine?)? {
        let (head, tail) = (bytes[..<fields.lowerBound], bytes[fields.upperBound...])
        guard let removed = InfluxLine(head + bytes[field] + tail) else { return nil }
        // With the comma before it, or behind it where it is the first.
        var gap = field
        if gap.lowerBound > fields.lowerBound {
            gap = (gap.lowerBound - 1)..<gap.upperBound
        } else if gap.upperBound < fields.upperBound {
            gap = gap.lowerBound..<(gap.upperBound + 1)
        }
        return (removed, InfluxLine(bytes[..<gap.lowerBound] + bytes[gap.upperBound...]))
    }

    private static func fits(_ value: ArraySlice<UInt8>, _ type: String) -> Bool {
        let isInteger = value.last == UInt8(ascii: "i")
        return switch type {
        case "integer", "int64": isInteger
        case "float", "float64": !isInteger
        default: true
        }
    }

    private static func isEqual(_ escaped: ArraySlice<UInt8>, _ name: String) -> Bool {
        var plain: [UInt8] = []
        var index = escaped.startIndex
        while index < escaped.endIndex {
            let isEscape =
                escaped[index] == UInt8(ascii: "\\") && index + 1 < escaped.endIndex
                && [UInt8(ascii: ","), UInt8(ascii: " "), UInt8(ascii: "=")].contains(
                    escaped[index + 1])
            if isEscape { index += 1 }
            plain.append(escaped[index])
            index += 1
        }
        return plain.elementsEqual(name.utf8)
    }

    private static func firstUnescaped(_ byte: UInt8, in bytes: ArraySlice<UInt8>) -> Int? {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == byte { return index }
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }
}
