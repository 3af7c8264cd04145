import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// Containers come and go by the thousand: nothing of those that went is kept.
///
/// Memory of a whole agent over 50,000 containers is `make test-churn`.
@Suite(.enabled(if: !FixtureTree.all.isEmpty, "no captured trees"))
struct CgroupChurnTests {
    /// Everything that could grow.
    private struct Size: Equatable, CustomStringConvertible {
        var subjects: Int
        var slots: Int
        var schemas: Int
        var keptFiles: Int
        var descriptors: Int
        var cgroups: Int
        /// Paths and pods that the sampler has to do with later.
        var remembered: Int
        var description: String {
            "\(subjects) subjects in \(slots) slots, \(schemas) schemas, \(keptFiles) kept files, "
                + "\(descriptors) descriptors of the tree, \(cgroups) cgroups, "
                + "\(remembered) remembered"
        }
    }

    /// Pods of two containers, copied from one that was captured; v1 in all its hierarchies.
    private final class Pods {
        let tree: SmallTree
        private(set) var names: [String] = []
        private var count = 0
        private let parents: [String]
        private let templates: [String]

        init(version: Int) throws {
            tree = try SmallTree(version: version)
            let found = try run(
                "/usr/bin/find",
                [tree.path + "/cgroup", "-type", "d", "-name", "*0f3b2a10*"])
            templates = found.split(separator: "\n").map(String.init)
            parents = templates.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
            #expect(!templates.isEmpty)
        }

        /// Files are links to those of the template, directories new ones.
        private func copy(_ template: String, to path: String) throws {
            mkdir(path, 0o755)
            for name in try FileManager.default.contentsOfDirectory(atPath: template) {
                var status = stat()
                guard stat(template + "/" + name, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR {
                    try copy(template + "/" + name, to: path + "/" + name)
                } else {
                    link(template + "/" + name, path + "/" + name)
                }
            }
        }

        func make() throws {
            count += 1
            let uid = "0f3b2a10"
            let new = String(format: "%08x", count)
            for (template, parent) in zip(templates, parents) {
                let name = URL(fileURLWithPath: template).lastPathComponent
                try copy(template, to: parent + "/" + name.replacingOccurrences(of: uid, with: new))
            }
            names.append(new)
        }

        func remove(_ index: Int) throws {
            for path in paths(names.remove(at: index)) {
                try FileManager.default.removeItem(atPath: path)
            }
        }

        /// Removes the containers of a pod that is to go, as a kubelet does some steps before the pod.
        func empty(_ index: Int) throws {
            for path in paths(names[index]) {
                for name in try FileManager.default.contentsOfDirectory(atPath: path) {
                    var status = stat()
                    guard stat(path + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFDIR
                    else { continue }
                    try FileManager.default.removeItem(atPath: path + "/" + name)
                }
            }
        }

        private func paths(_ name: String) -> [String] {
            zip(templates, parents).map { template, parent in
                let old = URL(fileURLWithPath: template).lastPathComponent
                return parent + "/" + old.replacingOccurrences(of: "0f3b2a10", with: name)
            }
        }
    }

    private func size(_ sampler: Sampler, _ path: String) throws -> Size {
        let files = HostFiles()
        let descriptors = try files.entries(of: "/proc/self/fd").filter {
            files.linkTarget(of: "/proc/self/fd/" + $0.name)?.hasPrefix(path) == true
        }
        return Size(
            subjects: sampler.registry.subjectCount, slots: sampler.registry.slotCount,
            schemas: sampler.registry.schemaCount, keptFiles: sampler.files.keptCount,
            descriptors: descriptors.count, cgroups: sampler.tree?.nodes.count ?? 0,
            remembered: sampler.pending.count + sampler.unstarted.count + sampler.lost.count
                + sampler.podSlots.count + sampler.podsToResolve.count
                + sampler.podsUnresolved.count)
    }

    @Test(arguments: [1, 2])
    func nothingIsKeptOfWhatIsGone(_ version: Int) throws {
        let pods = try Pods(version: version)
        let (sampler, encoder) = (try pods.tree.sampler(), FrameEncoder())
        let decoder = FrameDecoder()
        var random = SeededRandom(seed: 7)
        var frames = 0
        func step() throws {
            pods.tree.advance(milliseconds: 1_000)
            for change in sampler.step(into: encoder) { try decoder.apply(change) }
            frames += 1
        }
        func churn(_ steps: Int) throws {
            for _ in 0..<steps {
                for _ in 0..<3 {
                    try pods.remove(Int.random(in: 0..<pods.names.count, using: &random))
                }
                for _ in 0..<3 { try pods.make() }
                let emptied = Int.random(in: 0..<pods.names.count, using: &random)
                try pods.empty(emptied)
                try step()
                try pods.remove(emptied)
                try pods.make()
                try step()
            }
        }
        for _ in 0..<8 { try pods.make() }
        try step()
        try churn(4)
        // Conditional files have been closed, and what was looked for later is there.
        for _ in 0..<40 { try step() }
        let before = try size(sampler, pods.tree.path)
        #expect(before.subjects > 8 * 3 && before.cgroups > 8 * 2, "\(before)")
        try churn(20)
        for _ in 0..<40 { try step() }
        let after = try size(sampler, pods.tree.path)
        // Files that are read now and then may have been closed or opened since; one kept of each container
        // that went would be more than all those.
        let slack = before.keptFiles / 10
        #expect(abs(after.keptFiles - before.keptFiles) <= slack && slack < 20 * 4 * 2)
        #expect(after.descriptors == after.keptFiles)
        var expected = before
        (expected.keptFiles, expected.descriptors) = (after.keptFiles, after.descriptors)
        #expect(after == expected)
        #expect(sampler.refusedCount == 0)
        #expect(sampler.files.failureCount == 0, "\(sampler.files.takeNotices())")
        // The other end has what this one has.
        #expect(Array(decoder.layout.liveSlots).count == after.subjects)

        while !pods.names.isEmpty { try pods.remove(0) }
        for _ in 0..<65 { try step() }
        let end = try size(sampler, pods.tree.path)
        let own = SampledValues(sampler, encoder).subjects.filter { $0.value.kind == .pod }
        #expect(own.count == 1, "\(own.keys)")
        #expect(end.keptFiles < before.keptFiles / 2)
        #expect(end.slots == before.slots, "slots are used again")
        // The captured pod, which has its process or waits for it.
        #expect(sampler.podSlots.count == 1 && sampler.podsUnresolved.count <= 1)
    }
}
