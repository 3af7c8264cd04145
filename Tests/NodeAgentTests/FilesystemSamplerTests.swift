import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// The machine's real mounts, read from its own mount table, against what `findmnt` and `stat -f` say.
struct FilesystemSamplerTests {
    /// A captured tree whose processes have this machine's mounts, and a kubelet's directory.
    private final class Host {
        let tree: SmallTree
        let kubelet: TemporaryDirectory
        let sampler: Sampler
        let encoder = FrameEncoder()

        init(_ groups: SampleGroups) throws {
            tree = try SmallTree(version: 2)
            kubelet = try TemporaryDirectory()
            let process = tree.path + "/proc/1"
            try FileManager.default.createDirectory(
                atPath: process, withIntermediateDirectories: true)
            unlink(process + "/mountinfo")
            try FileManager.default.createSymbolicLink(
                atPath: process + "/mountinfo", withDestinationPath: "/proc/\(getpid())/mountinfo")
            var configuration = SamplerConfiguration()
            configuration.roots = tree.roots
            configuration.roots.rootfs = ""
            configuration.roots.kubelet = kubelet.path
            configuration.groups = SmallTree.groups.union(groups)
            configuration.watchesPods = false
            sampler = try Sampler(configuration, files: HostFiles(), clock: tree.clock)
        }

        func step() -> SampledValues {
            tree.advance(milliseconds: 1_000)
            _ = sampler.step(into: encoder)
            return SampledValues(sampler, encoder)
        }
    }

    /// Blocks, their size, free ones, those for everyone, inodes, free ones; as metrics.
    private static func figures(of path: String) throws -> [String: Int64] {
        let numbers = try run("/usr/bin/stat", ["-f", "-c", "%b %S %f %a %c %d", path])
            .split { $0.isWhitespace }.compactMap { Int64($0) }
        try #require(numbers.count == 6)
        return [
            "filesystem/limit": numbers[0] * numbers[1],
            "filesystem/usage": (numbers[0] - numbers[2]) * numbers[1],
            "filesystem/available": numbers[3] * numbers[1], "filesystem/inodes": numbers[4],
            "filesystem/inodes_free": numbers[5],
        ]
    }

    private static func values(_ sampled: SampledValues, _ subject: String) -> [String: Int64] {
        Dictionary(
            uniqueKeysWithValues: sampled.values.filter { $0.key.subject == subject }
                .map { ($0.key.metric, $0.value) })
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/findmnt")))
    func everyLocalFilesystemIsThereOnceWithItsFigures() throws {
        let host = try Host(.filesystem)
        let kinds = ["ext4", "ext3", "ext2", "xfs", "btrfs", "vfat", "f2fs", "zfs", "erofs"]
        var devices: Set<String> = []
        for line in try run("/usr/bin/findmnt", ["-rnvo", "MAJ:MIN,FSTYPE,TARGET"])
            .split(separator: "\n")
        {
            let parts = line.split(separator: " ")
            let isRoot = parts[1] == "overlay" && parts[2] == "/"
            if kinds.contains(String(parts[1])) || isRoot { devices.insert(String(parts[0])) }
        }
        try #require(!devices.isEmpty, "findmnt shows no local filesystem")
        let own = host.step().subjects.filter {
            $0.value.kind == .filesystem && $0.value.parent == host.sampler.nodeSlot
        }
        // Some may be out of reach, or have no blocks; none is there twice, none is another's.
        let shown = own.compactMap { $0.value.attributes[.deviceNumber] }
        #expect(Set(shown).count == shown.count, "\(shown)")
        #expect(Set(shown).isSubset(of: devices), "\(shown), not among \(devices)")
        let root = try #require(own.first { $0.value.name == "/" }?.key, "\(own.keys)")
        // Other programs write: a reading between two that agree.
        let end = Date(timeIntervalSinceNow: 60)
        while true {
            let before = try Self.figures(of: "/")
            let sampled = Self.values(host.step(), root)
            let after = try Self.figures(of: "/")
            if before != after, Date() < end { continue }
            #expect(sampled == after)
            return
        }
    }

    @Test(.enabled(if: getuid() == 0, "mounting needs root"))
    func volumesComeAndGoWithTheirMounts() throws {
        let host = try Host(.volumes)
        let volumes = "\(host.kubelet.path)/pods/\(SmallTree.podUID)/volumes"
        let places = [
            "kubernetes.io~empty-dir/cache": true, "kubernetes.io~csi/claim/mount": true,
            // Another pod's, one that is deeper, and what only looks like one.
            "../../11111111-2222-4333-8444-555555555555/volumes/kubernetes.io~secret/x": false,
            "kubernetes.io~csi/claim/other": false, "../volume-subpaths/cache/app/0": false,
        ]
        var mounted: [String] = []
        defer { for path in mounted { _ = try? run("/bin/umount", ["-l", path]) } }
        func subjects(_ sampled: SampledValues) -> Set<String> {
            Set(sampled.subjects.filter { $0.value.kind == .filesystem }.map(\.key))
        }
        #expect(subjects(host.step()).isEmpty)
        for place in places.keys.sorted() {
            let path = volumes + "/" + place
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
            _ = try run(
                "/bin/mount", ["-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "none", path])
            mounted.append(path)
        }
        let names = places.filter(\.value).keys.map {
            "pod \(SmallTree.podUID) | filesystem "
                + $0.split(separator: "/")[1]
        }
        let first = host.step()
        #expect(subjects(first) == Set(names), "\(first.subjects.keys)")
        let cache = "pod \(SmallTree.podUID) | filesystem cache"
        #expect(first.subjects[cache]?.attributes[.role] == "volume")
        #expect(first[cache, "filesystem/limit"] == 1 << 20)
        #expect(first[cache, "filesystem/usage"] == 0)
        let directory = volumes + "/kubernetes.io~empty-dir/cache"
        try Data(count: 300 << 10).write(to: URL(fileURLWithPath: directory + "/file"))
        let second = Self.values(host.step(), cache)
        #expect(second == (try Self.figures(of: directory)))
        #expect(second["filesystem/usage"] == 300 << 10)
        #expect(second["filesystem/inodes"] == 100)

        _ = try run("/bin/umount", [directory])
        mounted.removeAll { $0 == directory }
        // A statfs may come before the kernel's word that mounts changed: then the directory below answers.
        _ = host.step()
        #expect(subjects(host.step()) == Set(names).subtracting([cache]))
        #expect(host.sampler.files.failureCount == 0, "\(host.sampler.files.takeNotices())")
    }
}
