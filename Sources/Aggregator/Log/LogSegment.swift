/// A file of the log: eight bytes that say so, then records.
enum LogSegment {
    static let header: [UInt8] = Array("HWLOG1\r\n".utf8)

    /// What is in a file, by the end of its name.
    enum Content: String {
        case batches = ".hwlog"
        /// Who has gone (`DepartureLog`).
        case departures = ".hwgone"
    }

    /// `0000000000000007.hwlog`: names sort as their numbers do.
    static func name(_ number: UInt64, _ content: Content = .batches) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits + content.rawValue
    }

    /// The number of a file of that content; `nil` for other files.
    static func number(_ name: String, _ content: Content = .batches) -> UInt64? {
        let suffix = content.rawValue
        guard name.utf8.count == 16 + suffix.utf8.count, name.hasSuffix(suffix) else { return nil }
        return UInt64(name.prefix(16), radix: 16)
    }
}
