import Foundation

/// A program, running with its output in a file. Stopped by its own pid.
public final class RunningProgram {
    private let process = Process()
    private let log: URL
    public let name: String

    /// The folder of the test's own build products.
    public static var productsFolder: URL {
        // Tests run from a bundle beside the executables.
        var url = URL(fileURLWithPath: ProcessInfo.processInfo.arguments[0])
        url.deleteLastPathComponent()
        while url.path != "/" {
            let candidate = url.appendingPathComponent("heapwire-aggregator")
            if FileManager.default.isExecutableFile(atPath: candidate.path) { return url }
            url.deleteLastPathComponent()
        }
        return Repository.root.appendingPathComponent(".build/debug")
    }

    /// - Parameters:
    ///   - name: of this package's program, or the path of another.
    ///   - wrapper: a program with its arguments that runs another in its own place: `nsenter --net=…`.
    public init(
        _ name: String, _ arguments: [String], in folder: URL,
        environment: [String: String] = [:], through wrapper: [String] = []
    ) throws {
        let program = URL(fileURLWithPath: name, relativeTo: Self.productsFolder)
        self.name = program.lastPathComponent
        log = folder.appendingPathComponent("\(self.name)-\(UUID().uuidString).log")
        guard FileManager.default.createFile(atPath: log.path, contents: nil) else {
            throw Failure(description: "cannot create \(log.path)")
        }
        let handle = try FileHandle(forWritingTo: log)
        process.executableURL = wrapper.isEmpty ? program : URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = wrapper.isEmpty ? arguments : wrapper + [program.path] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardError = handle
        process.standardOutput = handle
        try process.start()
    }

    /// A test that failed half-way leaves nothing running.
    deinit { stop(SIGKILL) }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
        public init(description: String) { self.description = description }
    }

    public var pid: Int32 { process.processIdentifier }
    public var isRunning: Bool { process.isRunning }
    public var output: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

    /// Waits until its output matches; the match.
    public func wait<Output>(
        for pattern: some RegexComponent<Output>, seconds: Double = 10
    ) throws -> Output {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let match = output.firstMatch(of: pattern) { return match.output }
            guard process.isRunning else { break }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw Failure(description: "\(name) did not say what was expected, but:\n\(output)")
    }

    public func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Ends it and waits; its exit status.
    @discardableResult
    public func stop(_ number: Int32 = SIGTERM) -> Int32 {
        if process.isRunning { kill(process.processIdentifier, number) }
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// A new folder that is removed with the value.
public final class TemporaryFolder {
    public let url: URL

    public init() throws {
        url = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try FileManager.default.removeItem(at: url)
        } catch {
            print("cannot remove \(url.path): \(error)")
        }
    }

    public func write(_ text: String, to name: String) throws -> URL {
        let file = url.appendingPathComponent(name)
        try text.write(to: file, atomically: true, encoding: .utf8)
        return file
    }
}

/// Asks a server; the body as text. Uses curl, an independent client.
public func httpGet(_ url: String, arguments: [String] = []) throws -> String {
    let result = try runProcess("curl", ["-sS", "-m", "10"] + arguments + [url])
    guard result.status == 0 else {
        throw RunningProgram.Failure(description: "curl \(url): \(result.output)")
    }
    return result.output
}
