import Foundation
import Testing
import Wire

@testable import NodeAgent

/// A start is that of the oldest process that stays, whenever the agent looks for the first time.
@Suite(.enabled(if: !FixtureTree.all.isEmpty, "no captured trees"))
struct CgroupStartTests {
    private struct Starts: Equatable {
        var pod: Int64?
        var container: Int64?
    }

    private func starts(_ sampler: Sampler, _ encoder: FrameEncoder) -> Starts {
        let subjects = SampledValues(sampler, encoder).subjects
        let containers = subjects.filter {
            $0.key.contains("92068f05ef62") && $0.value.kind == .container
        }
        return Starts(
            pod: subjects["pod \(SmallTree.podUID)"]?.startTimeMilliseconds,
            container: containers.values.first?.startTimeMilliseconds)
    }

    /// What an agent says that looks when everything has long been there.
    private func settled(_ tree: SmallTree) throws -> Starts {
        let (sampler, encoder) = (try tree.sampler(), FrameEncoder())
        _ = sampler.step(into: encoder)
        let starts = starts(sampler, encoder)
        #expect(starts.pod != nil && starts.container != nil)
        return starts
    }

    /// `cgroup.procs` of every container of the pod in every hierarchy, with what is in them.
    private func processLists(_ tree: SmallTree) throws -> [String: String] {
        let found = try run(
            "/usr/bin/find",
            [tree.path + "/cgroup", "-name", "cgroup.procs", "-path", "*0f3b2a10*"])
        var lists: [String: String] = [:]
        for path in found.split(separator: "\n").map(String.init) {
            let text = try tree.read(path)
            if !text.isEmpty { lists[path] = text }
        }
        #expect(!lists.isEmpty)
        return lists
    }

    @Test(arguments: [1, 2], [0, 3, 90])
    func theFirstProcessMayComeLate(_ version: Int, _ seconds: Int) throws {
        let tree = try SmallTree(version: version)
        let wanted = try settled(tree)
        let lists = try processLists(tree)
        for path in lists.keys { try tree.write("", to: path) }
        let (sampler, encoder) = (try tree.sampler(), FrameEncoder())
        _ = sampler.step(into: encoder)
        let empty = starts(sampler, encoder)
        #expect(empty.pod != nil && empty != wanted)
        for _ in 0..<seconds {
            tree.advance(milliseconds: 1_000)
            _ = sampler.step(into: encoder)
        }
        #expect(starts(sampler, encoder) == empty)
        for (path, text) in lists { try tree.write(text, to: path) }
        for _ in 0..<(seconds < 60 ? 1 : 11) {
            tree.advance(milliseconds: 1_000)
            _ = sampler.step(into: encoder)
        }
        #expect(starts(sampler, encoder) == wanted)
    }

    /// runc's own first two processes are in the container's cgroup before the one that stays.
    @Test(arguments: [1, 2], ["runc:[0:PARENT]", "runc:[1:CHILD]"])
    func whatWillBeGoneInAMomentDoesNotCount(_ version: Int, _ name: String) throws {
        let tree = try SmallTree(version: version)
        let wanted = try settled(tree)
        let lists = try processLists(tree)
        // Older than every process there is.
        try FileManager.default.createDirectory(
            atPath: tree.path + "/proc/77", withIntermediateDirectories: true)
        let fields = (["77 (\(name)) S"] + (4...52).map { $0 == 22 ? "5" : "1" })
        try Data((fields.joined(separator: " ") + "\n").utf8).write(
            to: URL(fileURLWithPath: tree.path + "/proc/77/stat"))
        for (path, text) in lists { try tree.write("77\n" + text, to: path) }
        #expect(try settled(tree) == wanted)
        try Data(
            (fields.joined(separator: " ").replacingOccurrences(of: name, with: "sh") + "\n").utf8
        ).write(to: URL(fileURLWithPath: tree.path + "/proc/77/stat"))
        #expect(try settled(tree) != wanted)
    }
}
