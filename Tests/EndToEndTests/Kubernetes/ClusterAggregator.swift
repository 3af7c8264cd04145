import Foundation
import TestSupport

/// An aggregator that gets its names from a cluster.
final class ClusterAggregator {
    let program: RunningProgram
    let api: String
    let ingest: String

    /// - Parameter ports: of the API and for agents; 0 for any.
    init(
        source: String, _ arguments: [String] = [], in folder: URL,
        ports: (api: String, ingest: String) = ("0", "0"),
        environment: [String: String] = [:], through wrapper: [String] = []
    ) throws {
        program = try RunningProgram(
            "heapwire-aggregator",
            [
                "--source=\(source)", "--port=\(ports.api)", "--ingest-port=\(ports.ingest)",
                "--metric-resolution=1s",
            ] + arguments, in: folder, environment: environment, through: wrapper)
        let ports = try program.wait(for: /API on (http:\/\/[^,]+), agents on 127\.0\.0\.1:(\d+)/)
        (api, ingest) = (String(ports.1), String(ports.2))
    }

    var port: String { String(api.split(separator: ":").last ?? "") }

    /// One of its own metrics, with its labels; `nil` while it has none.
    func own(_ metric: String) throws -> Double? {
        let text = try httpGet("\(api)/metrics")
        let line = text.split(separator: "\n").first { $0.hasPrefix(metric + " ") }
        return line.flatMap { Double($0.dropFirst(metric.utf8.count + 1)) }
    }

    /// Waits until one of its own metrics has a value.
    func wait(_ metric: String, _ value: Double, seconds: Double = 15) throws {
        try eventually(seconds: seconds, "\(metric) \(value)") { try own(metric) == value }
    }

    deinit { program.stop() }
}

/// A list of the model API.
func names(_ url: String) throws -> [String] {
    try JSONDecoder().decode([String].self, from: Data(try httpGet(url).utf8))
}

/// Waits for something that becomes true.
func eventually(
    seconds: Double = 15, _ what: String, _ condition: () throws -> Bool
) throws {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
        if try condition() { return }
        usleep(50_000)
    }
    throw RunningProgram.Failure(description: "\(what) did not come true in \(seconds) s")
}

/// What `doctor` prints, line by line, and its exit code.
func doctor(_ arguments: [String]) throws -> (status: Int32, lines: [String]) {
    let program = RunningProgram.productsFolder.appendingPathComponent("heapwire-aggregator").path
    let result = try runProcess(program, ["doctor"] + arguments)
    return (result.status, result.output.split(separator: "\n").map(String.init))
}
