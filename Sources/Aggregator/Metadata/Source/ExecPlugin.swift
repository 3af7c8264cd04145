import Foundation
import Wire

/// A program that gives out credentials (kubeconfig `exec`): how to call it.
///
/// Source: `client.authentication.k8s.io`, v1 and v1beta1. It gets `KUBERNETES_EXEC_INFO` and prints an
/// `ExecCredential`. Not interactive: its standard input is empty.
struct ExecPlugin: Equatable, Hashable, Sendable {
    let command: String
    let arguments: [String]
    let environment: [String: String]
    let apiVersion: String

    /// What the program gave.
    struct Credential: Equatable, Sendable {
        var token = ""
        /// Milliseconds since the epoch; `nil` if it does not end.
        var expires: Int64?
    }

    private static let outputLimit = 1 << 20
    private static let secondsLimit = 60.0

    /// Runs it; at most a minute.
    func run() throws(SourceError) -> Credential {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [command] + arguments
        var variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        variables["KUBERNETES_EXEC_INFO"] =
            #"{"apiVersion":"\#(apiVersion)","kind":"ExecCredential","spec":{"interactive":false}}"#
        process.environment = variables
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        do {
            try process.run()
        } catch {
            throw .exec(command: command, reason: "it cannot be started (\(error))")
        }
        // Ends the program, and thereby the read below, when it takes too long.
        let watchdog = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.secondsLimit, execute: watchdog)
        var bytes: [UInt8] = []
        while bytes.count <= Self.outputLimit {
            let piece = output.fileHandleForReading.availableData
            if piece.isEmpty { break }
            bytes += piece
        }
        if bytes.count > Self.outputLimit { process.terminate() }
        process.waitUntilExit()
        watchdog.cancel()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            let how = process.terminationReason == .exit ? "exit status" : "signal"
            throw .exec(command: command, reason: "\(how) \(process.terminationStatus)")
        }
        do {
            return try Self.credential(bytes)
        } catch {
            throw .exec(command: command, reason: "its answer is unusable: \(error)")
        }
    }

    /// Reads an `ExecCredential`.
    static func credential(_ bytes: [UInt8]) throws(JSONError) -> Credential {
        try bytes.span.bytes.withUnsafeBytes { bytes throws(JSONError) in
            var credential = Credential()
            var json = JSONScanner(bytes)
            try json.beginObject()
            while let key = try json.nextKey() {
                guard "status" ~= key else {
                    try json.skip()
                    continue
                }
                if try json.takeNull() { continue }
                try json.beginObject()
                while let key = try json.nextKey() {
                    switch key {
                    case "token": credential.token = try json.string().string
                    case "expirationTimestamp":
                        credential.expires = RFC3339.milliseconds(
                            parsing: try json.string().string)
                    default: try json.skip()
                    }
                }
            }
            try json.end()
            return credential
        }
    }
}
