import Foundation

/// CPU time and memory of another process, from /proc.
struct WatchedProcess {
    let pid: Int

    struct Usage {
        var cpuSeconds = 0.0
        /// Of the threads that take frames in: sockets, decoding, applying, acknowledging.
        var ingestSeconds = 0.0
        var residentMebibytes = 0.0
        var residentMebibytesMax = 0.0
    }

    /// `nil` when there is no such process (any more).
    var usage: Usage? {
        guard let status = text("status"), let seconds = cpuSeconds("") else { return nil }
        var usage = Usage()
        usage.cpuSeconds = seconds
        usage.ingestSeconds = ingestSeconds
        for line in status.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 2, let kibibytes = Double(words[1]) else { continue }
            if words[0] == "VmRSS:" { usage.residentMebibytes = kibibytes / 1_024 }
            if words[0] == "VmHWM:" { usage.residentMebibytesMax = kibibytes / 1_024 }
        }
        return usage
    }

    private var ingestSeconds: Double {
        do {
            let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")
            return threads.reduce(0) { sum, thread in
                guard text("task/\(thread)/comm")?.hasPrefix("ingest-") == true else { return sum }
                return sum + (cpuSeconds("task/\(thread)/") ?? 0)
            }
        } catch {
            return 0
        }
    }

    /// - Parameter folder: below that of the process.
    private func cpuSeconds(_ folder: String) -> Double? {
        guard let stat = text("\(folder)stat"), let end = stat.lastIndex(of: ")") else {
            return nil
        }
        // proc(5): fields 14 and 15, counted from 1, are user and system time in clock ticks; the
        // second field is a name in parentheses that may have blanks.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12])
        else { return nil }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private func text(_ file: String) -> String? {
        do {
            return try String(contentsOfFile: "/proc/\(pid)/\(file)", encoding: .utf8)
        } catch {
            return nil
        }
    }
}
