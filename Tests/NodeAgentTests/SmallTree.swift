import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// One pod of a captured tree, whose files and clocks a test changes as it likes.
final class SmallTree {
    let version: Int
    private let copy: TemporaryDirectory
    private let hands = Hands()

    static let podUID = "0f3b2a10-1c2d-4e5f-8a9b-0c1d2e3f4a5b"

    /// The clocks' hands; the sampler may read them from wherever it runs.
    private final class Hands: @unchecked Sendable {
        private let lock = NSLock()
        private var nanoseconds: Int64 = 1_000_000_000_000
        var now: Int64 { lock.withLock { nanoseconds } }
        func advance(_ by: Int64) { lock.withLock { nanoseconds += by } }
    }

    init(version: Int) throws {
        self.version = version
        copy = try FixtureTree.of(version: version).copied()
        let script = """
            cd '\(copy.path)/cgroup'
            find . -depth -type d -path '*pod*-*' -o -depth -type d -path '*pod*_*' | while read d; do
              case "$d" in *0f3b2a10*) ;; *pod*[-_]*[-_]*[-_]*[-_]*) rm -rf "$d" ;; esac
            done
            """
        try run("/bin/sh", ["-c", script])
    }

    var path: String { copy.path }

    var roots: HostRoots {
        HostRoots(
            proc: path + "/proc", cgroup: path + "/cgroup", sys: path + "/sys", rootfs: path)
    }

    /// What the trees cannot show, and huge pages, whose files are opened once.
    static let groups = SampleGroups.standard.subtracting([
        .filesystem, .volumes, .agent, .hugetlb, .system,
    ])

    var clock: SampleClock {
        SampleClock(
            realtimeNanoseconds: { [hands] in hands.now + 1_700_000_000_000_000_000 },
            monotonicNanoseconds: { [hands] in hands.now },
            boottimeNanoseconds: { [hands] in hands.now })
    }

    func advance(milliseconds: Int64) { hands.advance(milliseconds * 1_000_000) }

    func sampler(
        files: HostFiles = HostFiles(), resolution: Int64 = 1_000, watches: Bool = false
    ) throws -> Sampler {
        var configuration = SamplerConfiguration()
        configuration.roots = roots
        configuration.groups = Self.groups
        configuration.resolutionMilliseconds = resolution
        configuration.watchesPods = watches
        return try Sampler(configuration, files: files, clock: clock)
    }

    /// The directory of the pod's first container, of the hierarchy of a v1 controller.
    func container(_ controller: String = "memory") throws -> String {
        let root = version == 1 ? path + "/cgroup/" + controller : path + "/cgroup"
        let found = try run("/usr/bin/find", [root, "-type", "d", "-name", "*92068f05ef62*"])
        return try #require(found.split(separator: "\n").first.map(String.init))
    }

    /// Writes over a file in place, so that kept descriptors see it.
    func write(_ text: String, to path: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    func read(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }
}
