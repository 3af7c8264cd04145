import Glibc
import Wire

/// The Date field's line, made once a second (RFC 9110, 5.6.7). Belongs to one thread.
struct HTTPDate {
    private static let days: StaticString = "SunMonTueWedThuFriSat"
    private static let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
    /// `Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n`
    static let byteCount = 37

    private var second: Int = -1
    private(set) var line = [UInt8](repeating: 0x20, count: HTTPDate.byteCount)

    /// Brings the line up to date.
    mutating func update(realtimeNanoseconds: UInt64) {
        let now = Int(realtimeNanoseconds / 1_000_000_000)
        guard now != second else { return }
        second = now
        var time = time_t(now)
        var parts = tm()
        gmtime_r(&time, &parts)
        line.removeAll(keepingCapacity: true)
        line += Array("Date: ".utf8)
        append(Self.days, Int(parts.tm_wday))
        line += Array(", ".utf8)
        append(Int(parts.tm_mday), digits: 2)
        line.append(0x20)
        append(Self.months, Int(parts.tm_mon))
        line.append(0x20)
        append(Int(parts.tm_year) + 1_900, digits: 4)
        line.append(0x20)
        append(Int(parts.tm_hour), digits: 2)
        line.append(0x3A)
        append(Int(parts.tm_min), digits: 2)
        line.append(0x3A)
        append(Int(parts.tm_sec), digits: 2)
        line += Array(" GMT\r\n".utf8)
    }

    private mutating func append(_ names: StaticString, _ index: Int) {
        for offset in 0..<3 { line.append(names.utf8Start[index * 3 + offset]) }
    }

    private mutating func append(_ number: Int, digits: Int) {
        var divisor = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            line.append(UInt8(0x30 + number / divisor % 10))
            divisor /= 10
        }
    }
}
