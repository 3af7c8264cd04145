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
        return RFC3339.string(
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
