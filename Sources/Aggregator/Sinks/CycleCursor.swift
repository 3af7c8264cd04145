import Glibc
import Wire

/// How far the sinks' queues are: every cycle up to `through` is in all of them, but for what is
/// listed. Text in `DATA-DIR/sinks/cursor`, replaced as a whole:
///
/// ```
/// heapwire-cursor 1
/// through 1795248080000
/// late NODE 1795248000000 1795248010000
/// without NODE 1795248060000-1795248080000
/// sums 1795248000000
/// crc 1c291ca3
/// ```
struct CycleCursor: Sendable, Equatable {
    var through: Int64
    /// By node.
    var late: [String: Set<Int64>] = [:]
    var sums: Set<Int64> = []
    /// By node, cycles that were handed on without it: see `AbsentNodes`.
    var absent: [String: CycleRanges] = [:]
    /// Of all nodes; from another aggregator, never in the file.
    var again: Set<Int64> = []

    private static let heading = "heapwire-cursor 1"
    private static let byteCountMax = 64 << 20

    init(
        through: Int64, late: [String: Set<Int64>] = [:], sums: Set<Int64> = [],
        absent: [String: CycleRanges] = [:], again: Set<Int64> = []
    ) {
        self.through = through
        self.late = late
        self.sums = sums
        self.absent = absent
        self.again = again
    }

    var text: [UInt8] {
        var lines = "\(Self.heading)\nthrough \(through)\n"
        for (node, cycles) in late.sorted(by: { $0.key < $1.key }) where !cycles.isEmpty {
            lines += "late \(node)\(Self.list(cycles))\n"
        }
        lines += CycleRanges.lines(absent)
        if !sums.isEmpty { lines += "sums\(Self.list(sums))\n" }
        var bytes = Array(lines.utf8)
        let checksum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
        bytes += Array("crc \(String(checksum, radix: 16))\n".utf8)
        return bytes
    }

    private static func list(_ cycles: Set<Int64>) -> String {
        cycles.sorted().map { " \($0)" }.joined()
    }

    /// - Returns: `nil` for a text that is damaged or not ours.
    init?(parsing bytes: [UInt8]) {
        let mark = Array("\ncrc ".utf8)
        guard bytes.count > mark.count, bytes.last == 0x0A,
            let start = bytes.dropLast().lastIndex(of: 0x0A),
            bytes[start...].starts(with: mark)
        else { return nil }
        let written = String(
            decoding: bytes[(start + mark.count)..<(bytes.count - 1)], as: UTF8.self)
        let checksum = bytes[...start].withUnsafeBytes { CRC32C.checksum($0) }
        guard UInt32(written, radix: 16) == checksum else { return nil }
        let lines = String(decoding: bytes[...start], as: UTF8.self).split(separator: "\n")
        guard lines.first == Self.heading[...] else { return nil }
        var through: Int64?
        (late, sums, absent) = ([:], [], [:])
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            switch words.first {
            case "through" where words.count == 2: through = Int64(words[1])
            case "late" where words.count > 2:
                late[String(words[1])] = Set(words.dropFirst(2).compactMap { Int64($0) })
            case CycleRanges.lineMark[...]:
                guard let found = CycleRanges.parse(words) else { return nil }
                absent[found.node] = found.cycles
            case "sums": sums = Set(words.dropFirst().compactMap { Int64($0) })
            default: return nil
            }
        }
        guard let through else { return nil }
        self.through = through
    }

    /// - Returns: `nil` where there is none yet, or a damaged one, which is reported.
    static func read(_ path: String) -> CycleCursor? {
        guard access(path, F_OK) == 0 else { return nil }
        do throws(SmallFileError) {
            let bytes = try SmallFile.read(path, byteLimit: byteCountMax)
            if let cursor = CycleCursor(parsing: bytes) { return cursor }
            Diagnostics.warning("\(path) is damaged; sinks go on with what comes from now on")
        } catch {
            Diagnostics.warning("\(error); sinks go on with what comes from now on")
        }
        return nil
    }

    /// Replaces the file at once as a whole.
    ///
    /// - Throws: when it cannot be written; the old one is still there then.
    func write(_ path: String) throws(QueueFileError) {
        let fresh = "\(path).new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw QueueFileError(call: "open", path: fresh, errno: errno)
        }
        defer { close(descriptor) }
        let bytes = text
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw QueueFileError(call: "write", path: fresh, errno: errno)
            }
            done += count
        }
        guard rename(fresh, path) == 0 else {
            throw QueueFileError(call: "rename", path: path, errno: errno)
        }
    }
}
