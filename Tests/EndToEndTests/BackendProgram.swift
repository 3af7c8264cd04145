import Foundation
import TestSupport

/// A server that is not ours, on loopback: a real store, or a small receiver. Killed and stopped by its
/// own pid.
final class BackendProgram {
    let port: UInt16
    private let program: String
    private let arguments: [String]
    private let folder: URL
    private var process = Process()

    /// Whether a real store is installed; where not, that is printed.
    static func has(_ program: String) -> Bool {
        let isThere = FileManager.default.isExecutableFile(atPath: "/usr/bin/\(program)")
        if !isThere { print("skipped: \(program) is not installed") }
        return isThere
    }

    /// - Parameters:
    ///   - program: found in the path.
    ///   - arguments: made of the port.
    init(_ program: String, in folder: URL, _ arguments: (UInt16) throws -> [String]) throws {
        self.program = program
        self.folder = folder
        port = try LoopbackListener.freePort()
        self.arguments = try arguments(port)
        try start()
    }

    deinit { if process.isRunning { kill() } }

    /// `line_receiver.py`: takes InfluxDB's line protocol and keeps it in a file.
    static func lineReceiver(in folder: URL) throws -> BackendProgram {
        let script = Repository.root.appendingPathComponent("Tests/EndToEndTests/line_receiver.py")
        return try BackendProgram("python3", in: folder) { port in
            [script.path, "\(port)", folder.appendingPathComponent("points").path]
        }
    }

    /// InfluxDB 1.
    static func influxDB(in folder: URL) throws -> BackendProgram {
        try BackendProgram("influxd", in: folder) { port in
            try StoreArguments.influxDB(in: folder, port: port)
        }
    }

    /// VictoriaMetrics, one node.
    static func victoriaMetrics(in folder: URL) throws -> BackendProgram {
        try BackendProgram("victoria-metrics", in: folder) { port in
            [
                "-storageDataPath=\(folder.path)/victoria", "-httpListenAddr=127.0.0.1:\(port)",
                "-search.latencyOffset=0s", "-retentionPeriod=1d", "-dedup.minScrapeInterval=1ms",
            ]
        }
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// Starts it, again after `kill`, and waits until it listens.
    func start() throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.currentDirectoryURL = folder
        let log = folder.appendingPathComponent("\(program)-\(port).log")
        if !FileManager.default.fileExists(atPath: log.path) {
            _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: log)
        try handle.seekToEnd()
        process.standardOutput = handle
        process.standardError = handle
        try process.start()
        try eventually(seconds: 60, "\(program) listens") {
            guard process.isRunning else {
                let words = try String(contentsOf: log, encoding: .utf8)
                throw RunningProgram.Failure(description: "\(program) ended: \(words)")
            }
            return try runProcess("curl", ["-s", "-m", "5", "\(url)/ping"]).status == 0
        }
    }

    /// `kill -9`.
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    // MARK: What it has

    /// Cycles of one series of `memory/usage` of a node: milliseconds, ascending, each once.
    func lineReceiverCycles(node: String) throws -> [Int64] {
        let text = try httpGet(
            "\(url)/timestamps?measurement=memory/usage&type=node&nodename=\(node)")
        return try JSONDecoder().decode([Int64].self, from: Data(text.utf8))
    }

    /// The same, from InfluxDB's own query interface.
    func influxCycles(node: String) throws -> [Int64] {
        struct Answer: Decodable {
            struct Result: Decodable {
                struct Series: Decodable {
                    let values: [[Double]]
                }
                let series: [Series]?
            }
            let results: [Result]
        }
        let query =
            "SELECT value FROM \"memory/usage\" WHERE \"type\"='node' AND nodename='\(node)'"
        let text = try httpGet(
            "\(url)/query",
            arguments: ["-G", "-d", "db=k8s", "-d", "epoch=ms", "--data-urlencode", "q=\(query)"])
        let answer = try JSONDecoder().decode(Answer.self, from: Data(text.utf8))
        return (answer.results.first?.series ?? []).flatMap { $0.values.map { Int64($0[0]) } }
            .sorted()
    }

    /// The same, from VictoriaMetrics' export of raw points.
    func victoriaCycles(node: String) throws -> [Int64] {
        struct Series: Decodable {
            let timestamps: [Int64]
        }
        let match = "heapwire_node_memory_usage_bytes{node=\"\(node)\"}"
        _ = try httpGet("\(url)/internal/force_flush")
        let text = try httpGet(
            "\(url)/api/v1/export",
            arguments: ["-G", "--data-urlencode", "match[]=\(match)", "-d", "reduce_mem_usage=1"])
        let lines = try text.split(separator: "\n").map {
            try JSONDecoder().decode(Series.self, from: Data($0.utf8))
        }
        return Set(lines.flatMap(\.timestamps)).sorted()
    }
}
