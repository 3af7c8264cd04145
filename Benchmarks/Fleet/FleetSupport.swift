import Foundation
import Synchronization
import Wire

/// Why a command ends without success.
enum FleetFailure: Error, CustomStringConvertible {
    case usage(String)
    case timedOut(what: String, words: String)
    case stopped

    var description: String {
        switch self {
        case .usage(let words): words
        case .timedOut(let what, let words):
            "no \(what) in time" + (words.isEmpty ? "" : " (\(words))")
        case .stopped: "stopped by a signal"
        }
    }
}

/// Flags that the commands have in common.
enum FleetOptions {
    static func address(_ line: inout CommandLine) throws -> SocketAddress {
        guard let text = line.text("aggregator") else {
            throw FleetFailure.usage("--aggregator is missing")
        }
        return try HostAndPort(parsing: text).resolve()[0]
    }

    static func token(_ line: inout CommandLine) throws -> String? {
        guard let path = line.text("agent-token-file") else { return nil }
        return try String(contentsOfFile: path, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// SIGINT and SIGTERM: the commands look at it and end in order.
enum StopSignal {
    private static let raised = Atomic<Bool>(false)

    static var isRaised: Bool { raised.load(ordering: .relaxed) }

    static func install() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { _ in StopSignal.raised.store(true, ordering: .relaxed) }
        }
    }
}

/// Results on standard output.
enum FleetOutput {
    static func line(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    /// One JSON object on a line; the values are JSON already.
    static func json(_ fields: [(name: String, value: String)]) {
        line("{" + fields.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}")
    }

    static func number(_ value: Double, digits: Int = 2) -> String {
        String(format: "%.\(digits)f", value)
    }
}
