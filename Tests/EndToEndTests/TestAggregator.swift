import Foundation
import TestSupport

/// An aggregator that can be killed and started again on the same ports.
final class TestAggregator {
    let name: String
    private let folder: URL
    private(set) var program: RunningProgram
    let api: String
    let ingest: String
    private let address: String
    private let wrapper: [String]
    private let more: [String]
    private let environment: [String: String]

    /// - Parameters:
    ///   - more: further flags.
    ///   - environment: further variables.
    ///   - wrapper: what it runs through, and what asks it: `nsenter --net=…`.
    init(
        _ name: String, in folder: URL, _ more: [String] = [], listen address: String = "127.0.0.1",
        environment: [String: String] = [:], through wrapper: [String] = []
    ) throws {
        self.name = name
        self.environment = environment
        self.folder = folder
        self.address = address
        self.wrapper = wrapper
        self.more = more
        let program = try RunningProgram(
            "heapwire-aggregator",
            [
                "--port=0", "--ingest-port=0", "--metric-resolution=1s", "--listen-ip=\(address)",
                "--insecure-ingest", "--insecure-http",
            ] + more, in: folder, environment: environment, through: wrapper)
        self.program = program
        let ports = try program.wait(for: /API on http:\/\/[\d.]+:(\d+), agents on [\d.]+:(\d+)/)
        (api, ingest) = (String(ports.1), String(ports.2))
    }

    /// After `program.stop(SIGKILL)`.
    func startAgain() throws {
        program = try RunningProgram(
            "heapwire-aggregator",
            ["--port=\(api)", "--ingest-port=\(ingest)", "--metric-resolution=1s"] + more,
            in: folder, environment: environment)
        _ = try program.wait(for: /API on/)
    }

    private static let compared: Set<String> = [
        "cpu/usage", "cpu/usage_rate", "cpu/context_switches", "memory/usage", "memory/page_faults",
        "memory/page_faults_rate", "memory/working_set", "network/rx", "network/tx_rate",
        "process/threads", "uptime",
    ]

    private func get(_ path: String) throws -> String {
        let url = "http://\(address):\(api)\(path)"
        guard !wrapper.isEmpty else { return try httpGet(url) }
        let result = try runProcess(
            wrapper[0], wrapper.dropFirst() + ["curl", "-sS", "-m", "10", url])
        guard result.status == 0 else {
            throw RunningProgram.Failure(description: "curl \(url): \(result.output)")
        }
        return result.output
    }

    /// One of its own metrics.
    func own(_ metric: String) throws -> Int {
        let text = try get("/metrics")
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
        let base = "/api/v1/model/nodes/\(node)"
        func list(_ path: String) throws -> [String] {
            try JSONDecoder().decode([String].self, from: Data(try get(path).utf8))
        }
        var found: [String: [String]] = [:]
        let containers = try list("\(base)/freecontainers").map {
            "/freecontainers/\($0.replacingOccurrences(of: "/", with: "%2F"))"
        }
        for part in [""] + containers.sorted().prefix(4) {
            for metric in try list("\(base)\(part)/metrics") where Self.compared.contains(metric) {
                let path = "\(part)/metrics/\(metric)"
                let body = try get(base + path)
                guard let series = try? JSONDecoder().decode(Series.self, from: Data(body.utf8))
                else { throw RunningProgram.Failure(description: "\(base + path): \(body)") }
                found[path] = series.metrics.map { "\($0.timestamp) \($0.value)" }
            }
        }
        return found
    }
}
