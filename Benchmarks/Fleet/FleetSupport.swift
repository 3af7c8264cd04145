import Foundation
import Synchronization
import Wire
import WireTLS

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
    static let flags: [Flag] = [
        Flag("aggregator", "HOST:PORT", "The aggregator's ingest port."),
        Flag("agent-token-file", "FILE", "The token that the aggregator wants of agents."),
        Flag(
            "ca-file", "FILE",
            "Speak TLS; whose certificates of aggregators are believed (PEM). Without it plain TCP."
        ),
        Flag(
            "server-name", "NAME",
            "The name in the aggregator's certificate. Default: the host in --aggregator."),
    ]

    static func target(_ line: inout CommandLine) throws -> FleetTarget {
        guard let text = line.text("aggregator") else {
            throw FleetFailure.usage("--aggregator is missing")
        }
        let named = try HostAndPort(parsing: text)
        let name = line.text("server-name")
        var tls: TLSFiles?
        if let path = line.text("ca-file") {
            tls = try TLSFiles(
                TLSFiles.Paths(authorities: path), role: .client, minimum: .tls13)
        } else if name != nil {
            throw FleetFailure.usage("--server-name is about TLS; give --ca-file with it")
        }
        return FleetTarget(
            address: try named.resolve()[0], serverName: name ?? named.host, tls: tls)
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
