import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// A real server of a sink's backend, with its own folder and port. Stopped by its own pid.
final class BackendServer {
    let folder: URL
    let port: UInt16
    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]
    private var process = Process()
    private var log: URL { folder.appendingPathComponent("server.log") }

    struct Failure: Error, CustomStringConvertible { var description: String }

    /// Where a program is; `nil`, with a printed reason, if it is not installed.
    static func find(_ name: String, variable: String = "") -> String? {
        if let path = ProcessInfo.processInfo.environment[variable] { return path }
        for folder in ["/usr/bin", "/usr/sbin", "/usr/local/bin"] {
            let path = "\(folder)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        print("skipped: \(name) is not installed")
        return nil
    }

    static func has(_ name: String, variable: String = "") -> Bool {
        find(name, variable: variable) != nil
    }

    static func makeFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-sinks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // Some servers run as somebody else.
        chmod(folder.path, 0o777)
        return folder
    }

    /// - Parameter arguments: made of the server's folder and port.
    init(
        _ executable: String, environment: [String: String] = [:], folder: URL? = nil,
        port: UInt16? = nil, waits: Bool = true, _ arguments: (URL, UInt16) throws -> [String]
    ) throws {
        self.executable = executable
        self.environment = environment
        self.folder = try folder ?? Self.makeFolder()
        self.port = try port ?? LoopbackListener.freePort()
        self.arguments = try arguments(self.folder, self.port)
        try start(waits: waits)
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(at: folder)
    }

    func start(waits: Bool = true) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if !FileManager.default.fileExists(atPath: log.path) {
            _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: log)
        try handle.seekToEnd()
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.start()
        guard waits else { return }
        for _ in 0..<600 {
            if Self.accepts(port) { return }
            guard process.isRunning else { break }
            usleep(20_000)
        }
        throw Failure(description: "\(executable) does not listen:\n\(output)")
    }

    var output: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

    func kill() {
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        for _ in 0..<250 where process.isRunning { usleep(20_000) }
        if process.isRunning { kill() }
    }

    private static func accepts(_ port: UInt16) -> Bool {
        let address = HostAndPort(host: "127.0.0.1", port: port)
        let deadline = Clock.system.monotonicNanoseconds + 1_000_000_000
        do throws(SinkError) {
            _ = try BlockingConnection(
                to: SinkEndpoint(address: address), environment: SinkEnvironment(),
                deadline: deadline)
            return true
        } catch {
            return false
        }
    }

    /// A request to the server's own interface.
    func http(
        _ method: HTTPMethod, _ target: String, body: String = "",
        fields: [(name: String, value: String)] = [], tls: SinkTLS? = nil
    ) throws -> HTTPClientAnswer {
        let client = BackendClient(
            SinkEndpoint(address: HostAndPort(host: "127.0.0.1", port: port), tls: tls),
            environment: SinkEnvironment())
        return try client.perform(
            HTTPClientRequest(method, target, fields: fields, body: Array(body.utf8)),
            deadline: Clock.system.monotonicNanoseconds + 10_000_000_000)
    }

    func json(
        _ target: String, fields: [(name: String, value: String)] = [], tls: SinkTLS? = nil
    ) throws -> [String: Any] {
        let response = try http(.get, target, fields: fields, tls: tls)
        guard response.status == 200 else {
            throw Failure(description: "HTTP \(response.status) \(response.excerpt)")
        }
        let object = try JSONSerialization.jsonObject(with: Data(response.body))
        return try #require(object as? [String: Any])
    }
}

/// What the server tests have in common: batches, and a sink run over them.
enum SinkRun {
    /// Cycles of ten seconds that end about now, so that every backend takes them.
    static func cycles(_ count: Int) -> [Int64] {
        let now = Int64(Date().timeIntervalSince1970) / 10 * 10_000
        return (0..<count).map { now - Int64(count - 1 - $0) * 10_000 }
    }

    /// The metrics of a pod container and its logs filesystem, the values different for each cycle.
    static func batch(_ cycle: Int64, pods: Int = 5) -> RecordedBatch {
        let sets = (0..<pods).map { number in
            var set = MetricSet()
            set.kind = .container
            set.labels = [
                Label(key: "container_name", value: "app"), Label(key: "hostname", value: "node-a"),
                Label(key: "labels", value: "app:web,tier:front end"),
                Label(key: "namespace_name", value: "default"),
                Label(key: "nodename", value: "node-a"),
                Label(key: "pod_id", value: "uid-\(number)"),
                Label(key: "pod_name", value: "web-\(number)"),
                Label(key: "type", value: "pod_container"),
            ]
            set.values = [
                MetricSample(.cpuUsage, .integer(cycle % 1_000_000 * 1_000)),
                MetricSample(.cpuUsageRate, .integer(cycle / 1_000 % 1_000)),
                MetricSample(.memoryUsage, .integer(1 << 20 + Int64(number))),
                MetricSample(.memoryPageFaultsRate, .float(Double(cycle / 1_000 % 60) / 7)),
            ]
            set.labeledValues = [
                LabeledSample(
                    metric: .catalogue(.filesystemUsage),
                    labels: [Label(key: "resource_id", value: "logs")], value: .integer(4_096))
            ]
            return set
        }
        return RecordedBatch(timestamp: cycle, sets: sets)
    }

    static let pointsPerPod = 5

    static func make(_ flag: String, dataDirectory: String? = nil) throws -> SinkSet {
        let sink = try #require(try ConfiguredSink.make(flag))
        let set = try SinkSet([sink], dataDirectory: dataDirectory)
        try set.start()
        return set
    }

    /// Sends some cycles and waits until all is delivered. Returns what the sink says of itself.
    @discardableResult
    static func send(_ flag: String, cycles: [Int64], pods: Int = 5) throws -> SinkStatus {
        let set = try make(flag)
        for cycle in cycles { set.offer(batch(cycle, pods: pods), waitingUntil: .max) }
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.refusedRequests == 0, "\(status)")
        #expect(status.deliveredPoints == cycles.count * pods * pointsPerPod, "\(status)")
        return status
    }

    static func wait(seconds: Double = 60, for condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if try condition() { return true }
            usleep(50_000)
        }
        return try condition()
    }
}
