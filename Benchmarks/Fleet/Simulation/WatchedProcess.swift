import Foundation

/// CPU time and memory of another process, from /proc.
struct WatchedProcess {
    let pid: Int

    struct Usage {
        var cpuSeconds = 0.0
        var residentMebibytes = 0.0
        var residentMebibytesMax = 0.0
    }

    /// `nil` when there is no such process (any more).
    var usage: Usage? {
        guard let stat = text("stat"), let status = text("status"),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        // proc(5): fields 14 and 15, counted from 1, are user and system time in clock ticks; the
        // second field is a name in parentheses that may have blanks.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12])
        else { return nil }
        var usage = Usage()
        usage.cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        for line in status.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 2, let kibibytes = Double(words[1]) else { continue }
            if words[0] == "VmRSS:" { usage.residentMebibytes = kibibytes / 1_024 }
            if words[0] == "VmHWM:" { usage.residentMebibytesMax = kibibytes / 1_024 }
        }
        return usage
    }

    private func text(_ file: String) -> String? {
        do {
            return try String(contentsOfFile: "/proc/\(pid)/\(file)", encoding: .utf8)
        } catch {
            return nil
        }
    }
}
