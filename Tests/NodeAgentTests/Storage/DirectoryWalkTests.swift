import Foundation
import TestSupport
import Testing

@testable import NodeAgent

/// A walk counts what `du` counts, however it is cut into pieces.
@Suite struct DirectoryWalkTests {
    private func walk(_ path: String, pieces: () -> Int) -> DirectoryWalk.Outcome? {
        let walk = DirectoryWalk(path)
        for _ in 0..<1_000_000 {
            let limit = pieces()
            let looked = walk.advance(limit)
            #expect(looked <= limit)
            if let outcome = walk.outcome { return outcome }
            #expect(looked == limit, "a walk that is not over uses what it is given")
        }
        return nil
    }

    @Test(arguments: [1, 2, 3])
    func whatAWalkCountsIsWhatDuCounts(seed: UInt64) throws {
        let tree = try DirectoryTree(seed: seed, fileCount: 600)
        let (byteCount, inodeCount) = try tree.du()
        #expect(inodeCount > 300)
        let wanted = DirectoryWalk.Outcome.usage(
            DirectoryUsage(byteCount: byteCount, inodeCount: inodeCount))
        var random = SeededRandom(seed: seed)
        #expect(walk(tree.path) { 1 } == wanted)
        #expect(walk(tree.path) { 1 << 20 } == wanted)
        #expect(walk(tree.path) { Int.random(in: 1...50, using: &random) } == wanted)
    }

    @Test func otherFilesystemsBelowAreNotCounted() throws {
        // The devices' directory has filesystems of its own in it: /dev/pts, /dev/shm.
        let text = try run("/usr/bin/du", ["-sx", "--inodes", "/dev"])
        let inodeCount = try #require(text.split(separator: "\t").first.flatMap { Int64($0) })
        guard case .usage(let usage) = walk("/dev", pieces: { 100 }) else {
            Issue.record("/dev cannot be walked")
            return
        }
        // Mount points themselves are of the other filesystem and not counted; du counts them.
        #expect(usage.inodeCount <= inodeCount && usage.inodeCount >= inodeCount - 10)
    }

    @Test func whatIsGoneOrNoDirectoryHasNoUsage() throws {
        let directory = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: directory.path + "/file"))
        symlink("/proc", directory.path + "/link")
        #expect(walk(directory.path + "/nothing") { 1 } == .failed(errno: ENOENT))
        #expect(walk(directory.path + "/file") { 1 } == .failed(errno: ENOTDIR))
        guard case .failed = walk(directory.path + "/link", pieces: { 1 }) else {
            Issue.record("a link was followed")
            return
        }
    }

    @Test func aTreeThatIsTooDeepHasNoUsage() throws {
        let directory = try TemporaryDirectory()
        let fits = (2..<DirectoryWalk.depthLimit).map { _ in "d" }.joined(separator: "/")
        try FileManager.default.createDirectory(
            atPath: directory.path + "/" + fits, withIntermediateDirectories: true)
        let inodeCount = Int64(DirectoryWalk.depthLimit - 1)
        guard case .usage(let usage) = walk(directory.path, pieces: { 10 }) else {
            Issue.record("cannot be walked")
            return
        }
        #expect(usage.inodeCount == inodeCount)
        try FileManager.default.createDirectory(
            atPath: directory.path + "/" + fits + "/d/d", withIntermediateDirectories: true)
        #expect(walk(directory.path) { 10 } == .failed(errno: ELOOP))
    }

    @Test func aWalkThatIsGivenUpClosesItsDescriptors() throws {
        let tree = try DirectoryTree(seed: 9, fileCount: 200)
        let files = HostFiles()
        func descriptors() throws -> Int {
            try files.entries(of: "/proc/self/fd").filter {
                files.linkTarget(of: "/proc/self/fd/" + $0.name)?.hasPrefix(tree.path) == true
            }.count
        }
        var walk: DirectoryWalk? = DirectoryWalk(tree.path)
        #expect(walk?.advance(100) == 100)
        #expect(try descriptors() > 0)
        walk = nil
        #expect(try descriptors() == 0)
    }
}
