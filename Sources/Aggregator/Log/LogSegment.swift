/// A file of the log: eight bytes that say so, then records.
enum LogSegment {
    static let header: [UInt8] = Array("HWLOG1\r\n".utf8)
    private static let suffix = ".hwlog"

    /// `0000000000000007.hwlog`: names sort as their numbers do.
    static func name(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits + suffix
    }

    /// The number of a segment's file name; `nil` for other files.
    static func number(_ name: String) -> UInt64? {
        guard name.utf8.count == 16 + suffix.utf8.count, name.hasSuffix(suffix) else { return nil }
        return UInt64(name.prefix(16), radix: 16)
    }
}
