import Foundation
import TestSupport
import Testing

@testable import NodeAgent

/// Discovery on directories of our own: what counts is which come and go.
@Suite struct CgroupTreeTests {
    private static let id = String(repeating: "ab", count: 32)

    private final class Host {
        let directory: TemporaryDirectory
        let files = HostFiles()
        let tree: CgroupTree

        init(isWatched: Bool, _ paths: [String]) throws {
            directory = try TemporaryDirectory()
            try Data().write(to: URL(fileURLWithPath: directory.path + "/cgroup.controllers"))
            for path in paths { try Self.make(directory.path + "/" + path) }
            let hierarchies = try #require(
                CgroupHierarchies(layoutOf: directory.path, files: files))
            let watcher = isWatched ? CgroupWatcher() : nil
            #expect((watcher != nil) == isWatched, "the kernel grants no inotify instance")
            tree = CgroupTree(hierarchies: hierarchies, files: files, watcher: watcher)
        }

        static func make(_ path: String) throws {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        }

        func make(_ path: String) throws { try Self.make(directory.path + "/" + path) }
        func remove(_ path: String) throws {
            try FileManager.default.removeItem(atPath: directory.path + "/" + path)
        }
    }

    @Test(arguments: [true, false])
    func cgroupsThatComeAndGoAreSeenInTheNextUpdate(_ isWatched: Bool) throws {
        let pod = "kubepods/burstable/podabc"
        let host = try Host(isWatched: isWatched, ["system.slice/a.service", pod])
        #expect(
            host.tree.update().added == [
                "kubepods", "kubepods/burstable", pod, "system.slice", "system.slice/a.service",
            ])
        #expect(host.tree.update().isEmpty)

        try host.make("\(pod)/\(Self.id)")
        try host.make("system.slice/b.service")
        #expect(Set(host.tree.update().added) == ["\(pod)/\(Self.id)", "system.slice/b.service"])
        #expect(host.tree.update().isEmpty)

        try host.remove("\(pod)/\(Self.id)")
        try host.remove("system.slice/a.service")
        let change = host.tree.update()
        #expect(change.added.isEmpty)
        #expect(Set(change.removed) == ["\(pod)/\(Self.id)", "system.slice/a.service"])
        #expect(host.tree.update().isEmpty)
    }

    @Test(arguments: [true, false])
    func aWholePodInOneGoIsSeen(_ isWatched: Bool) throws {
        let host = try Host(isWatched: isWatched, ["kubepods"])
        _ = host.tree.update()
        try host.make("kubepods/besteffort/podx/\(Self.id)")
        #expect(
            host.tree.update().added == [
                "kubepods/besteffort", "kubepods/besteffort/podx",
                "kubepods/besteffort/podx/\(Self.id)",
            ])
        try host.remove("kubepods/besteffort")
        #expect(
            host.tree.update().removed == [
                "kubepods/besteffort/podx/\(Self.id)", "kubepods/besteffort/podx",
                "kubepods/besteffort",
            ])
    }

    /// A name that is used again is another cgroup, also when the number of directories is the same.
    @Test(arguments: [true, false])
    func aNameThatIsUsedAgainIsAnotherCgroup(_ isWatched: Bool) throws {
        let path = "kubepods/podx/\(Self.id)"
        let host = try Host(isWatched: isWatched, [path, "system.slice/a.service"])
        _ = host.tree.update()
        let inode = try #require(host.tree.nodes[path]?.inode)
        // A directory of the same name with another inode, without a moment in between.
        try host.make("spare/\(Self.id)")
        _ = host.tree.update()
        try host.remove(path)
        try FileManager.default.moveItem(
            atPath: host.directory.path + "/spare/\(Self.id)",
            toPath: host.directory.path + "/" + path)
        // Link counts cannot tell; the sampler's reads of the old files can.
        if !isWatched { host.tree.suspect(path) }
        let change = host.tree.update()
        #expect(change.removed.contains(path))
        #expect(change.added == [path])
        #expect(host.tree.nodes[path]?.inode != inode)
    }

    @Test func containersAreNotLookedInto() throws {
        let path = "kubepods/podx/\(Self.id)"
        let host = try Host(isWatched: true, ["\(path)/init.scope", "system.slice/x.mount"])
        let added = host.tree.update().added
        #expect(added.contains(path))
        #expect(!added.contains("\(path)/init.scope"))
        #expect(!added.contains("system.slice/x.mount"))
    }

    @Test func removalOfManyAtOnceAndARescanAgree() throws {
        let paths = (0..<200).map { "kubepods/pod\($0)/\(Self.id)" }
        let host = try Host(isWatched: true, paths)
        #expect(host.tree.update().added.count == 401)
        for index in stride(from: 0, to: 200, by: 2) { try host.remove("kubepods/pod\(index)") }
        #expect(host.tree.update().removed.count == 200)
        #expect(host.tree.rescan().isEmpty)
        #expect(host.tree.nodes.count == 202)
    }

    /// Random changes, some seen by events, some by link counts: the tree is always what is there.
    @Test(arguments: [true, false])
    func theTreeIsAlwaysWhatIsThere(_ isWatched: Bool) throws {
        let host = try Host(isWatched: isWatched, ["kubepods", "system.slice"])
        var random = SeededRandom(seed: 99)
        _ = host.tree.update()
        var known = Set(host.tree.nodes.keys)
        for round in 0..<300 {
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let number = Int.random(in: 0..<12, using: &random)
                let path =
                    Bool.random(using: &random)
                    ? "kubepods/pod\(number)/\(Self.id)" : "system.slice/s\(number).service"
                let isThere = FileManager.default.fileExists(
                    atPath: host.directory.path + "/" + path)
                if isThere {
                    try host.remove(
                        Bool.random(using: &random)
                            ? path : path.replacingOccurrences(of: "/\(Self.id)", with: ""))
                } else {
                    try host.make(path)
                }
            }
            // A container that came and one that went leave the link count as it was; the files of the one
            // that went say ENODEV to the sampler then.
            for (path, node) in host.tree.nodes
            where path.hasSuffix(Self.id)
                && host.files.status(of: host.directory.path + "/" + path)?.inode != node.inode
            {
                host.tree.suspect(path)
            }
            let change = host.tree.update()
            known.subtract(change.removed)
            known.formUnion(change.added)
            #expect(known == Set(host.tree.nodes.keys), "round \(round)")
            let there = Set(
                (FileManager.default.subpaths(atPath: host.directory.path) ?? [])
                    .filter { $0 != "cgroup.controllers" })
            #expect(known.subtracting([""]) == there, "round \(round)")
        }
    }
}
