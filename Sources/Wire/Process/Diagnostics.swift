import CLinux
import Glibc
import Synchronization

/// The log lines of a program, on standard error: time, level, message.
///
/// "Log" alone means the durable record of frames; these are diagnostics. Messages never carry
/// credentials. Use `limited` where the same thing can happen many times.
public enum Diagnostics {
    public enum Level: Int, Sendable, Comparable {
        case debug, info, warning, error

        public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

        fileprivate var word: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .warning: "warning"
            case .error: "error"
            }
        }
    }

    private static let minimum = Atomic<Int>(Level.info.rawValue)

    /// Lines below `level` are not written.
    public static func setMinimumLevel(_ level: Level) {
        minimum.store(level.rawValue, ordering: .relaxed)
    }

    public static func isEnabled(_ level: Level) -> Bool {
        level.rawValue >= minimum.load(ordering: .relaxed)
    }

    public static func debug(_ message: @autoclosure () -> String) { write(.debug, message) }
    public static func info(_ message: @autoclosure () -> String) { write(.info, message) }
    public static func warning(_ message: @autoclosure () -> String) { write(.warning, message) }
    public static func error(_ message: @autoclosure () -> String) { write(.error, message) }

    private static func write(_ level: Level, _ message: () -> String) {
        guard isEnabled(level) else { return }
        // One write call a line: lines of several threads do not mix.
        var line = Array("\(timestamp()) \(level.word) \(message())".utf8)
        for index in line.indices where line[index] < 0x20 { line[index] = 0x20 }
        line.append(0x0A)
        line.withUnsafeBytes { bytes in
            // Nothing can be reported where standard error itself is gone.
            _ = Glibc.write(2, bytes.baseAddress, bytes.count)
        }
    }

    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return formatRFC3339(
            milliseconds: Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000)
    }
}

/// Lets through a few messages of one kind per interval and says how many it held back.
public final class LimitedDiagnostics: Sendable {
    private struct State {
        var windowStart: Int64 = .min
        var written = 0
        var suppressed = 0
    }

    private let intervalNanoseconds: Int64
    private let allowance: Int
    private let state = Mutex(State())

    public init(perMinute allowance: Int = 6) {
        self.allowance = allowance
        intervalNanoseconds = 60_000_000_000
    }

    public func warning(_ message: @autoclosure () -> String) {
        guard let suppressed = admit() else { return }
        let suffix = suppressed > 0 ? " (\(suppressed) more like it were not shown)" : ""
        Diagnostics.warning(message() + suffix)
    }

    /// How many were held back before this one; `nil` to hold this one back too.
    private func admit() -> Int? {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let nanoseconds = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        return state.withLock { state in
            if state.windowStart == .min || nanoseconds - state.windowStart >= intervalNanoseconds {
                state.windowStart = nanoseconds
                state.written = 0
            }
            guard state.written < allowance else {
                state.suppressed += 1
                return nil
            }
            state.written += 1
            defer { state.suppressed = 0 }
            return state.suppressed
        }
    }
}

/// `2026-01-01T00:00:00.000Z` for a number of milliseconds since the Unix epoch.
public func formatRFC3339(milliseconds: Int64, fraction: Bool = true) -> String {
    let days = milliseconds.flooringDivision(by: 86_400_000)
    let inDay = milliseconds - days * 86_400_000
    let (year, month, day) = civilDate(daysSinceEpoch: days)
    let clock = [inDay / 3_600_000, inDay / 60_000 % 60, inDay / 1_000 % 60].map { pad($0, 2) }
    let tail = fraction ? ".\(pad(inDay % 1_000, 3))Z" : "Z"
    return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(clock.joined(separator: ":"))\(tail)"
}

private func pad(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}

/// Year, month and day of the proleptic Gregorian calendar (Hinnant's days-to-civil algorithm).
func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = daysSinceEpoch + 719_468
    let era = shifted.flooringDivision(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}

extension Int64 {
    /// Rounds towards minus infinity.
    func flooringDivision(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor != 0 && (self < 0) != (divisor < 0) ? quotient - 1 : quotient
    }
}
