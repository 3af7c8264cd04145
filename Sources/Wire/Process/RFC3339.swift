/// Times as Kubernetes and Heapster write them: RFC 3339, here always milliseconds since the Unix
/// epoch.
public enum RFC3339 {
    /// `0001-01-01T00:00:00Z`, Go's zero time.
    public static let goZeroMilliseconds: Int64 = -62_135_596_800_000
    private static let lastMilliseconds: Int64 = 253_402_300_799_999

    /// Appends `2026-01-01T00:00:00Z`, with a fraction of one to three digits where it is not zero.
    /// Times outside the years 0 to 9999, which the format cannot say, are moved to its ends.
    public static func append(milliseconds: Int64, to bytes: inout [UInt8]) {
        let clamped = min(max(milliseconds, -62_167_219_200_000), lastMilliseconds)
        let days = flooringDivision(clamped, 86_400_000)
        let inDay = clamped - days * 86_400_000
        let date = civilDate(daysSinceEpoch: days)
        append(date.year, width: 4, then: "-", to: &bytes)
        append(date.month, width: 2, then: "-", to: &bytes)
        append(date.day, width: 2, then: "T", to: &bytes)
        append(inDay / 3_600_000, width: 2, then: ":", to: &bytes)
        append(inDay / 60_000 % 60, width: 2, then: ":", to: &bytes)
        let fraction = inDay % 1_000
        guard fraction > 0 else {
            return append(inDay / 1_000 % 60, width: 2, then: "Z", to: &bytes)
        }
        append(inDay / 1_000 % 60, width: 2, then: ".", to: &bytes)
        if fraction % 100 == 0 {
            append(fraction / 100, width: 1, then: "Z", to: &bytes)
        } else if fraction % 10 == 0 {
            append(fraction / 10, width: 2, then: "Z", to: &bytes)
        } else {
            append(fraction, width: 3, then: "Z", to: &bytes)
        }
    }

    /// `append` as a string.
    public static func string(milliseconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(milliseconds: milliseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)`, the fraction cut to milliseconds; `nil` for
    /// anything else, also for dates that no calendar has. Second 60 is not taken, as in Go.
    public static func milliseconds(parsing text: UnsafeRawBufferPointer) -> Int64? {
        var reader = Reader(text: text)
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2),
            reader.take("-"), let day = reader.number(2), reader.take("T"),
            let hour = reader.number(2), reader.take(":"), let minute = reader.number(2),
            reader.take(":"), let second = reader.number(2)
        else { return nil }
        guard (1...12).contains(month), day >= 1, day <= daysIn(month: month, year: year),
            hour < 24, minute < 60, second < 60, let fraction = reader.fraction(),
            let zone = reader.zone(), reader.isAtEnd
        else { return nil }
        let days = daysSinceEpoch(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - zone * 60
        return seconds * 1_000 + fraction
    }

    public static func milliseconds(parsing text: String) -> Int64? {
        var text = text
        return text.withUTF8 { milliseconds(parsing: UnsafeRawBufferPointer($0)) }
    }

    private struct Reader {
        let text: UnsafeRawBufferPointer
        var index = 0

        var isAtEnd: Bool { index == text.count }

        mutating func number(_ width: Int) -> Int64? {
            guard index + width <= text.count else { return nil }
            var value: Int64 = 0
            for byte in text[index..<index + width] {
                let digit = byte &- UInt8(ascii: "0")
                guard digit < 10 else { return nil }
                value = value * 10 + Int64(digit)
            }
            index += width
            return value
        }

        mutating func take(_ byte: Unicode.Scalar) -> Bool {
            guard index < text.count, text[index] == UInt8(ascii: byte) else { return false }
            index += 1
            return true
        }

        /// Milliseconds; 0 without a fraction, `nil` for a point without digits.
        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var scale: Int64 = 100
            var value: Int64 = 0
            let start = index
            while index < text.count, text[index] &- UInt8(ascii: "0") < 10 {
                value += Int64(text[index] - UInt8(ascii: "0")) * scale
                scale /= 10
                index += 1
            }
            return index > start ? value : nil
        }

        /// Minutes east of UTC.
        mutating func zone() -> Int64? {
            if take("Z") { return 0 }
            let isEast = take("+")
            guard isEast || take("-"), let hours = number(2), take(":"), let minutes = number(2),
                hours < 24, minutes < 60
            else { return nil }
            return (isEast ? 1 : -1) * (hours * 60 + minutes)
        }
    }

    private static func append(
        _ value: Int64, width: Int, then separator: Unicode.Scalar, to bytes: inout [UInt8]
    ) {
        var divisor: Int64 = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
        bytes.append(UInt8(ascii: separator))
    }

    /// Hinnant's days-to-civil algorithm for the proleptic Gregorian calendar; eras of 400 years
    /// begin in March, so that leap days end them.
    private static func civilDate(
        daysSinceEpoch: Int64
    ) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = daysSinceEpoch + 719_468
        let era = flooringDivision(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// The way back.
    private static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = flooringDivision(shiftedYear, 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func daysIn(month: Int64, year: Int64) -> Int64 {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        switch month {
        case 2: return isLeap ? 29 : 28
        case 4, 6, 9, 11: return 30
        default: return 31
        }
    }

    private static func flooringDivision(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }
}
