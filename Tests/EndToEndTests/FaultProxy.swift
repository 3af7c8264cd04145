import Foundation
import TestSupport

/// `fault_proxy.py` between an agent and one aggregator.
final class FaultProxy {
    let fault: String
    let port: String
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// - Parameter target: the port of the aggregator.
    init(_ fault: String, target: String, seed: Int) throws {
        self.fault = fault
        let script = Repository.root.appendingPathComponent("Tests/EndToEndTests/fault_proxy.py")
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script.path, target, fault, "\(seed)"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let match = line.firstMatch(of: /port (\d+)/) else {
            throw RunningProgram.Failure(description: "the proxy said: \(line)")
        }
        port = String(match.1)
    }

    /// Does no more harm.
    func calm() throws { try input.fileHandleForWriting.write(contentsOf: Data("calm\n".utf8)) }

    /// Ends it; how often it did harm.
    func stop() throws -> Int {
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        let rest = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        guard let match = rest.firstMatch(of: /harmed (\d+)/), let count = Int(match.1) else {
            throw RunningProgram.Failure(description: "the proxy said: \(rest)")
        }
        return count
    }
}

/// An aggregator that can be killed and started again on the same ports.
final class TestAggregator {
    let name: String
    private let folder: URL
    private(set) var program: RunningProgram
    let api: String
    let ingest: String

    init(_ name: String, in folder: URL, listen: String = "127.0.0.1") throws {
        self.name = name
        self.folder = folder
        let program = try RunningProgram(
            "heapwire-aggregator",
            [
                "--port=0", "--ingest-port=0", "--metric-resolution=1s", "--listen-ip=\(listen)",
                "--insecure-ingest", "--insecure-http",
            ], in: folder)
        self.program = program
        let ports = try program.wait(for: /API on http:\/\/[\d.]+:(\d+), agents on [\d.]+:(\d+)/)
        (api, ingest) = (String(ports.1), String(ports.2))
    }

    /// After `program.stop(SIGKILL)`.
    func startAgain() throws {
        program = try RunningProgram(
            "heapwire-aggregator",
            ["--port=\(api)", "--ingest-port=\(ingest)", "--metric-resolution=1s"], in: folder)
        _ = try program.wait(for: /API on/)
    }

    private static let compared: Set<String> = [
        "cpu/usage", "cpu/usage_rate", "cpu/context_switches", "memory/usage", "memory/page_faults",
        "memory/page_faults_rate", "memory/working_set", "network/rx", "network/tx_rate",
        "process/threads", "uptime",
    ]

    /// One of its own metrics.
    func own(_ metric: String) throws -> Int {
        let text = try httpGet("http://127.0.0.1:\(api)/metrics")
        guard let match = text.firstMatch(of: try Regex("\n\(metric) (\\d+)\n")),
            let digits = match.output[1].substring, let value = Int(digits)
        else { throw RunningProgram.Failure(description: "no \(metric) in \(text)") }
        return value
    }

    /// Series of a node and of some system containers: timestamps and values, by path.
    func everything(node: String) throws -> [String: [String]] {
        struct Series: Decodable {
            struct Point: Decodable {
                let timestamp: String
                let value: Double
            }
            let metrics: [Point]
        }
        let base = "http://127.0.0.1:\(api)/api/v1/model/nodes/\(node)"
        func list(_ path: String) throws -> [String] {
            try JSONDecoder().decode([String].self, from: Data(try httpGet(path).utf8))
        }
        var found: [String: [String]] = [:]
        let containers = try list("\(base)/freecontainers").map {
            "/freecontainers/\($0.replacingOccurrences(of: "/", with: "%2F"))"
        }
        for part in [""] + containers.sorted().prefix(4) {
            for metric in try list("\(base)\(part)/metrics") where Self.compared.contains(metric) {
                let path = "\(part)/metrics/\(metric)"
                let body = try httpGet(base + path)
                guard let series = try? JSONDecoder().decode(Series.self, from: Data(body.utf8))
                else { throw RunningProgram.Failure(description: "\(base + path): \(body)") }
                found[path] = series.metrics.map { "\($0.timestamp) \($0.value)" }
            }
        }
        return found
    }
}
