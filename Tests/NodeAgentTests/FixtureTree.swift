import Foundation
import TestSupport
import Testing

/// A captured tree (`proc/`, `sys/`, `cgroup/`), unpacked once per test run.
struct FixtureTree: Sendable, CustomStringConvertible {
    /// 1 or 2.
    let version: Int
    /// 1 or 2: about five seconds apart.
    let snapshot: Int
    let path: String

    var description: String { "cgroup v\(version), snapshot \(snapshot)" }
    var proc: String { path + "/proc" }
    var sys: String { path + "/sys" }
    var cgroup: String { path + "/cgroup" }

    /// Every captured tree; none, with the reason printed, where the shared data is missing.
    static let all: [FixtureTree] = {
        guard let root = unpacked else { return [] }
        return [1, 2].flatMap { version in
            [1, 2].map { snapshot in
                FixtureTree(
                    version: version, snapshot: snapshot,
                    path: "\(root)/cgroupv\(version)/\(snapshot)")
            }
        }
    }()

    static func of(version: Int, snapshot: Int = 1) throws -> FixtureTree {
        try #require(all.first { $0.version == version && $0.snapshot == snapshot })
    }

    /// A copy that a test may change, removed with its owner.
    func copied() throws -> TemporaryDirectory {
        let copy = try TemporaryDirectory()
        try run("/bin/cp", ["-a", path + "/.", copy.path])
        return copy
    }

    private static let unpacked: String? = {
        let fixtures = packageRoot + "/../shared/fixtures"
        guard FileManager.default.fileExists(atPath: fixtures + "/cgroupv1.tar.gz") else {
            print("no captured trees at \(fixtures): tests of them are skipped")
            return nil
        }
        do {
            let directory = try TemporaryDirectory(isKept: true)
            for version in [1, 2] {
                try run(
                    "/bin/tar",
                    ["xzf", "\(fixtures)/cgroupv\(version).tar.gz", "-C", directory.path])
            }
            try makeLinks(in: directory.path)
            return directory.path
        } catch {
            print("captured trees cannot be unpacked: \(error)")
            return nil
        }
    }()

    /// `NAME@`, a file with the target in it, becomes the symbolic link `NAME`.
    private static func makeLinks(in root: String) throws {
        let files = FileManager.default
        for case let name as String in files.enumerator(atPath: root) ?? .init()
        where name.hasSuffix("@") {
            let target = try String(contentsOfFile: root + "/" + name, encoding: .utf8)
            try? files.createSymbolicLink(
                atPath: root + "/" + name.dropLast(),
                withDestinationPath: target.trimmingCharacters(in: .newlines))
        }
    }
}

/// The package's directory.
let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

/// A directory that is removed with its last reference.
final class TemporaryDirectory {
    let path: String
    private let isKept: Bool

    /// - Parameter isKept: for what lasts until the process ends, and is removed at its exit.
    init(isKept: Bool = false) throws {
        path = NSTemporaryDirectory() + "heapwire-test-" + UUID().uuidString
        self.isKept = isKept
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        if isKept { ExitCleanup.shared.add(path) }
    }

    deinit { if !isKept { try? FileManager.default.removeItem(atPath: path) } }
}

/// Removes directories when the process exits.
private final class ExitCleanup: @unchecked Sendable {
    static let shared = ExitCleanup()
    private let lock = NSLock()
    private var paths: [String] = []

    private init() {
        atexit {
            for path in ExitCleanup.shared.paths {
                try? FileManager.default.removeItem(atPath: path)
            }
        }
    }

    func add(_ path: String) { lock.withLock { paths.append(path) } }
}

struct CommandFailed: Error, CustomStringConvertible {
    var description: String
}

/// Runs a program to its end and returns its output.
@discardableResult
func run(
    _ program: String, _ arguments: [String], environment: [String: String]? = nil
) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    if let environment { process.environment = environment }
    let output = Pipe()
    process.standardOutput = output
    try process.start()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw CommandFailed(
            description: "\(program) \(arguments) ended with \(process.terminationStatus)")
    }
    return String(decoding: data, as: UTF8.self)
}
