import Foundation
import Testing
import Wire

@testable import NodeAgent

/// What containers and pods keep on disk, found and measured as `du` does.
@Suite(.enabled(if: !FixtureTree.all.isEmpty, "no captured trees"))
struct StorageSamplerTests {
    private static let containerID =
        "92068f05ef629d16fb52e4f5c6cbb29c9056917ba5dc0347b9534dc54d1eb80d"
    private static let container = "container \(SmallTree.podUID) \(containerID)"

    /// A host's root directory beside the captured tree: a writable layer, logs, an emptyDir.
    private struct Host {
        let tree: SmallTree
        var root: String { tree.path + "/host" }
        var layer: String { root + "/var/lib/containerd/snapshots/7/fs" }
        var logs: String { root + "/var/log/pods/default_web_\(SmallTree.podUID)/app" }
        var empty: String {
            root + "/var/lib/kubelet/pods/\(SmallTree.podUID)/volumes/kubernetes.io~empty-dir/cache"
        }

        init(version: Int) throws {
            tree = try SmallTree(version: version)
            for path in [layer, logs, empty] { try write(3, below: path) }
            try FileManager.default.createDirectory(
                atPath: root + "/var/log/containers", withIntermediateDirectories: true)
            symlink(
                "/var/log/pods/default_web_\(SmallTree.podUID)/app/0.log",
                root + "/var/log/containers/web_default_app-\(containerID).log")
            try mount("/var/lib/containerd/snapshots/7/fs", of: process())
            try mount(nil, of: "1")
        }

        func write(_ count: Int, below path: String) throws {
            try FileManager.default.createDirectory(
                atPath: path + "/\(count)", withIntermediateDirectories: true)
            for number in 0..<count {
                try Data(repeating: 1, count: 10_000 * (number + 1)).write(
                    to: URL(fileURLWithPath: "\(path)/\(count)/\(number)"))
            }
        }

        func process() throws -> String {
            let text = try tree.read(try tree.container() + "/cgroup.procs")
            return try #require(text.split(separator: "\n").first.map(String.init))
        }

        /// Makes an overlay, or the disk itself, a process' root.
        func mount(_ upper: String?, of process: String) throws {
            let directory = tree.path + "/proc/" + process
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            let root =
                upper.map {
                    "612 500 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=\($0),workdir=/w"
                } ?? "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"
            try Data("\(root)\n30 22 0:5 / /proc rw - proc proc rw\n".utf8).write(
                to: URL(fileURLWithPath: directory + "/mountinfo"))
        }

        func sampler(walkRate: Int) throws -> Sampler {
            var configuration = SamplerConfiguration()
            configuration.roots = tree.roots
            configuration.roots.rootfs = root
            configuration.groups = SmallTree.groups
            configuration.resolutionMilliseconds = 1_000
            configuration.watchesPods = false
            configuration.walkRate = walkRate
            configuration.walkIntervalMilliseconds = 100
            return try Sampler(configuration, files: HostFiles(), clock: tree.clock)
        }
    }

    private func du(_ path: String) throws -> Int64 {
        let text = try run("/usr/bin/du", ["-s", "--block-size=1", path])
        return try #require(text.split(separator: "\t").first.flatMap { Int64($0) })
    }

    @Test(arguments: [1, 2])
    func layersLogsAndEmptyDirsAreMeasured(_ version: Int) throws {
        let host = try Host(version: version)
        let sampler = try host.sampler(walkRate: 100_000)
        let encoder = FrameEncoder()
        let pod = "pod \(SmallTree.podUID)"
        func usage() -> [String: Int64] {
            let values = SampledValues(sampler, encoder)
            return [
                "\(Self.container) | filesystem rootfs", "\(Self.container) | filesystem logs",
                "\(pod) | filesystem cache",
            ].reduce(into: [:]) { $0[$1] = values[$1, "filesystem/usage"] }
        }
        func arrive(_ layer: Int64, _ logs: Int64, _ empty: Int64) -> Bool {
            let wanted = [
                "\(Self.container) | filesystem rootfs": layer,
                "\(Self.container) | filesystem logs": logs, "\(pod) | filesystem cache": empty,
            ]
            let isThere = eventually {
                host.tree.advance(milliseconds: 1_000)
                _ = sampler.step(into: encoder)
                return usage() == wanted
            }
            return isThere
        }
        #expect(arrive(try du(host.layer), try du(host.logs), try du(host.empty)), "\(usage())")
        let subjects = SampledValues(sampler, encoder).subjects
        #expect(subjects["\(Self.container) | filesystem rootfs"]?.attributes[.role] == "rootfs")
        #expect(subjects["\(Self.container) | filesystem logs"]?.attributes[.role] == "logs")
        #expect(subjects["\(pod) | filesystem cache"]?.attributes[.role] == "volume")

        // What is written later is seen in a later walk.
        try host.write(9, below: host.layer)
        try host.write(5, below: host.logs)
        #expect(arrive(try du(host.layer), try du(host.logs), try du(host.empty)), "\(usage())")

        // With the container go its directories.
        for controller in version == 1
            ? ["memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb", "cpuset"] : ["memory"]
        {
            if let path = try? host.tree.container(controller) {
                try FileManager.default.removeItem(atPath: path)
            }
        }
        host.tree.advance(milliseconds: 61_000)
        for _ in 0..<2 { _ = sampler.step(into: encoder) }
        let left = SampledValues(sampler, encoder).subjects.keys
        #expect(!left.contains { $0.hasPrefix(Self.container) })
        #expect(left.contains("\(pod) | filesystem cache"))
    }

    /// The default: nothing is walked, and no thread is there to do it.
    @Test func withoutARateNothingIsWalked() throws {
        let host = try Host(version: 2)
        let sampler = try host.sampler(walkRate: 0)
        let encoder = FrameEncoder()
        for _ in 0..<100 {
            host.tree.advance(milliseconds: 1_000)
            _ = sampler.step(into: encoder)
        }
        let subjects = SampledValues(sampler, encoder).subjects.keys
        #expect(!subjects.contains { $0.contains("| filesystem") })
    }

    /// `ephemeral_storage/usage` of a node is that of the filesystem with the kubelet's directory.
    @Test(arguments: [("/var/lib/kubelet", "/var/lib"), ("/data/kubelet", "/")])
    func theFilesystemWithTheKubeletsDirectoryIsMarked(kubelet: String, marked: String) throws {
        let tree = try SmallTree(version: 2)
        for directory in ["/var/lib", "/home"] {
            try FileManager.default.createDirectory(
                atPath: tree.path + directory, withIntermediateDirectories: true)
        }
        try FileManager.default.createDirectory(
            atPath: tree.path + "/proc/1", withIntermediateDirectories: true)
        let mounts = """
            22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
            23 22 254:1 / /var/lib rw - xfs /dev/vdb rw
            24 22 254:2 / /home rw - ext4 /dev/vdc rw
            25 23 254:0 /x /var/lib/kubelet2 rw - ext4 /dev/vda rw

            """
        try Data(mounts.utf8).write(to: URL(fileURLWithPath: tree.path + "/proc/1/mountinfo"))
        var configuration = SamplerConfiguration()
        configuration.roots = tree.roots
        configuration.roots.kubelet = kubelet
        configuration.groups = SmallTree.groups.union(.filesystem)
        configuration.watchesPods = false
        let sampler = try Sampler(configuration, files: HostFiles(), clock: tree.clock)
        let encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        let roles = SampledValues(sampler, encoder).subjects.filter {
            $0.value.kind == .filesystem && $0.value.parent == sampler.nodeSlot
        }.mapValues { $0.attributes[.role] }
        #expect(roles.count == 3)
        #expect(roles.filter { $0.value != nil }.map(\.value) == ["nodefs"])
        #expect(roles["node | filesystem \(marked)"] == "nodefs", "\(roles)")
    }

    /// A process that has not yet got its container's root has the node's.
    @Test func theNodesOwnRootIsNoContainersLayer() throws {
        let host = try Host(version: 2)
        try host.mount("/node/upper", of: "1")
        try host.mount("/node/upper", of: try host.process())
        let places = StoragePlaces(roots: host.tree.roots, files: HostFiles())
        let process = try #require(Int32(try host.process()))
        let node = places.nodeUpperDirectory()
        #expect(node == "/node/upper")
        #expect(places.writableLayer(of: process, node: node) == nil)
        try host.mount("/other", of: try host.process())
        #expect(places.writableLayer(of: process, node: node)?.path == host.tree.path + "/other")
    }
}
