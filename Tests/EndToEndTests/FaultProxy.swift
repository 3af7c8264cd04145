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
        try process.start()
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
