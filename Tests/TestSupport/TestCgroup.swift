import Foundation

/// A cgroup of the test's own, in every hierarchy of the host that matters, with processes in it.
public final class TestCgroup {
    public let path: String
    private let folders: [String]
    /// Folders above them that were not there, innermost first.
    private let parents: [String]
    private var processes: [Process] = []

    /// Controllers of a v1 host that get a folder each.
    private static let controllers = ["memory", "cpu", "cpuacct", "pids", "blkio"]

    /// Why real cgroups cannot be made here; `nil` when they can.
    public static var unavailable: String? {
        guard geteuid() == 0 else { return "not root" }
        let probe = "heapwire-probe-\(getpid())"
        do {
            _ = try TestCgroup(probe)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private static var isUnified: Bool {
        FileManager.default.fileExists(atPath: "/sys/fs/cgroup/cgroup.controllers")
    }

    /// - Parameter path: below the hierarchies' roots, without a leading slash.
    public init(_ path: String) throws {
        self.path = path
        let roots =
            Self.isUnified
            ? ["/sys/fs/cgroup"]
            : Self.controllers.map { "/sys/fs/cgroup/\($0)" }
                .filter { FileManager.default.fileExists(atPath: $0) }
        folders = roots.map { "\($0)/\(path)" }
        parents = folders.flatMap { folder in
            let above = sequence(first: URL(fileURLWithPath: folder).deletingLastPathComponent()) {
                $0.deletingLastPathComponent()
            }
            return above.lazy.map(\.path)
                .prefix { !FileManager.default.fileExists(atPath: $0) }.map { $0 }
        }
        for folder in folders {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
        }
    }

    /// The folder that holds a controller's files.
    public func folder(_ controller: String) -> String {
        Self.isUnified ? folders[0] : "/sys/fs/cgroup/\(controller)/\(path)"
    }

    public func read(_ controller: String, _ file: String) throws -> String {
        try String(contentsOfFile: "\(folder(controller))/\(file)", encoding: .utf8)
    }

    /// Starts a program inside; returns its pid.
    @discardableResult
    public func run(_ program: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let entering = folders.map { "echo $$ > '\($0)/cgroup.procs'" }.joined(separator: " && ")
        process.arguments = ["-c", "\(entering) && exec \"$0\" \"$@\"", program] + arguments
        try process.start()
        processes.append(process)
        return process.processIdentifier
    }

    /// Working set as the kubelet defines it, in bytes, from the cgroup's own files.
    public func workingSet() throws -> Int64 {
        let usageFile = Self.isUnified ? "memory.current" : "memory.usage_in_bytes"
        let key = Self.isUnified ? "inactive_file" : "total_inactive_file"
        let usage = try number(try read("memory", usageFile))
        let line = try read("memory", "memory.stat").split(separator: "\n")
            .first { $0.hasPrefix("\(key) ") }
        return max(0, usage - (try number(String((line ?? "").dropFirst(key.count + 1)))))
    }

    private func number(_ text: String) throws -> Int64 {
        guard let value = Int64(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw RunningProgram.Failure(description: "\"\(text)\" is not a number")
        }
        return value
    }

    /// Ends its processes and removes it, and what it made above itself.
    public func remove() {
        for process in processes where process.isRunning {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        processes = []
        for folder in folders {
            // The kernel needs a moment after the last process to let go.
            for _ in 0..<100 where rmdir(folder) != 0 && errno == EBUSY {
                Thread.sleep(forTimeInterval: 0.01)
            }
        }
        // Others may have come to live there; the last of them leaves it to nobody.
        for folder in parents { rmdir(folder) }
    }

    deinit { remove() }
}
