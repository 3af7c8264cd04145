import Foundation
import Testing
import Wire

@testable import NodeAgent

/// Files that are read only when something else says that they changed.
@Suite(.enabled(if: !FixtureTree.all.isEmpty, "no captured trees"))
struct ReadingConditionTests {
    private static let container =
        "container \(SmallTree.podUID) 92068f05ef629d16fb52e4f5c6cbb29c9056917ba5dc0347b9534dc54d1eb80d"

    /// A sampler that has had its first steps, in which everything is read.
    private func settled(_ tree: SmallTree) throws -> (Sampler, FrameEncoder) {
        let (sampler, encoder) = (try tree.sampler(), FrameEncoder())
        for _ in 0..<15 { step(sampler, encoder, tree) }
        return (sampler, encoder)
    }

    private func step(_ sampler: Sampler, _ encoder: FrameEncoder, _ tree: SmallTree) {
        tree.advance(milliseconds: 1_000)
        _ = sampler.step(into: encoder)
    }

    private func value(
        _ sampler: Sampler, _ encoder: FrameEncoder, _ metric: String
    ) -> Int64? {
        SampledValues(sampler, encoder)[Self.container, metric]
    }

    @Test func killsAreLookedAtWhenTheNodeCountsOne() throws {
        let tree = try SmallTree(version: 1)
        let vmstat = tree.path + "/proc/vmstat"
        let text = try tree.read(vmstat)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("oom_kill ") })
        let (sampler, encoder) = try settled(tree)
        let before = try #require(value(sampler, encoder, "memory/oom_kills"))
        let file = try tree.container() + "/memory.oom_control"
        try tree.write("oom_kill_disable 0\nunder_oom 0\noom_kill \(before + 2)\n", to: file)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "memory/oom_kills") == before, "nobody said so")
        try tree.write(
            text.replacingOccurrences(of: line + "\n", with: "oom_kill 987654\n"), to: vmstat)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "memory/oom_kills") == before + 2)
        // The kernel counts for the node first: the step after it looks too.
        try tree.write("oom_kill_disable 0\nunder_oom 0\noom_kill \(before + 3)\n", to: file)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "memory/oom_kills") == before + 3)
    }

    @Test func withoutTheNodesCountKillsAreReadAtEveryStep() throws {
        let tree = try SmallTree(version: 1)
        let vmstat = tree.path + "/proc/vmstat"
        let lines = try tree.read(vmstat).split(separator: "\n").filter {
            !$0.hasPrefix("oom_kill")
        }
        try tree.write(lines.joined(separator: "\n") + "\n", to: vmstat)
        let (sampler, encoder) = try settled(tree)
        let file = try tree.container() + "/memory.oom_control"
        for kills: Int64 in [7, 8] {
            try tree.write("oom_kill_disable 0\nunder_oom 0\noom_kill \(kills)\n", to: file)
            step(sampler, encoder, tree)
            #expect(value(sampler, encoder, "memory/oom_kills") == kills)
        }
    }

    @Test func bytesOfIOAreReadWhenOperationsMoved() throws {
        let tree = try SmallTree(version: 1)
        let operations = try tree.container("blkio") + "/blkio.throttle.io_serviced_recursive"
        let bytes = try tree.container("blkio") + "/blkio.throttle.io_service_bytes_recursive"
        try tree.write("254:0 Read 3\n254:0 Write 4\nTotal 7\n", to: operations)
        try tree.write("254:0 Read 1000\n254:0 Write 2000\nTotal 3000\n", to: bytes)
        let (sampler, encoder) = try settled(tree)
        func read(_ metric: String) -> Int64? {
            SampledValues(sampler, encoder).values.first {
                $0.key.subject.hasPrefix(Self.container + " | ") && $0.key.metric == metric
            }?.value
        }
        #expect(read("disk/io_read_bytes") == 1_000)
        try tree.write("254:0 Read 1512\n254:0 Write 2000\nTotal 3512\n", to: bytes)
        step(sampler, encoder, tree)
        #expect(read("disk/io_read_bytes") == 1_000)
        for count: Int64 in [4, 5, 6] {
            try tree.write("254:0 Read \(count)\n254:0 Write 4\nTotal 8\n", to: operations)
            try tree.write(
                "254:0 Read \(count * 512)\n254:0 Write 2000\nTotal 9\n", to: bytes)
            step(sampler, encoder, tree)
            #expect(read("disk/io_read_bytes") == count * 512)
            #expect(read("disk/io_reads") == count)
        }
    }

    @Test(arguments: [1, 2])
    func processesAreCountedWhenThreadsChangedAndEveryTenSeconds(_ version: Int) throws {
        let tree = try SmallTree(version: version)
        let threads = try tree.container("pids") + "/pids.current"
        let processes = try tree.container() + "/cgroup.procs"
        try tree.write("3\n", to: threads)
        try tree.write("11\n12\n", to: processes)
        let (sampler, encoder) = try settled(tree)
        #expect(value(sampler, encoder, "process/count") == 2)
        try tree.write("4\n", to: threads)
        try tree.write("11\n12\n13\n", to: processes)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "process/count") == 3)
        // One came, one of two threads went: nobody says so.
        try tree.write("11\n12\n13\n14\n", to: processes)
        for _ in 0..<10 { step(sampler, encoder, tree) }
        #expect(value(sampler, encoder, "process/count") == 4)
    }

    @Test func failuresAtALimitAreReadWhereThereIsOne() throws {
        let tree = try SmallTree(version: 1)
        let limit = try tree.container() + "/memory.limit_in_bytes"
        let failures = try tree.container() + "/memory.failcnt"
        try tree.write("67108864\n", to: limit)
        let (sampler, encoder) = try settled(tree)
        try tree.write("41\n", to: failures)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "memory/failcnt") == 41)
        // The limit goes, which is seen with the settings, within a minute.
        try tree.write("9223372036854771712\n", to: limit)
        for _ in 0..<61 { step(sampler, encoder, tree) }
        try tree.write("42\n", to: failures)
        step(sampler, encoder, tree)
        let late = value(sampler, encoder, "memory/failcnt")
        for _ in 0..<61 { step(sampler, encoder, tree) }
        #expect(value(sampler, encoder, "memory/failcnt") == 42)
        #expect(late == 41)
    }

    /// What is written shows in the next step; what nobody could have been told of, within ten minutes.
    @Test(arguments: [1, 2])
    func settingsAreReadWhenSomebodyWritesToTheCgroup(_ version: Int) throws {
        let tree = try SmallTree(version: version)
        let (sampler, encoder) = (try tree.sampler(watches: true), FrameEncoder())
        for _ in 0..<15 { step(sampler, encoder, tree) }
        let limit = try tree.container() + (version == 1 ? "/memory.limit_in_bytes" : "/memory.max")
        try tree.write("67108864\n", to: limit)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "memory/cgroup_limit") == 67_108_864)

        // What a container may use of CPUs follows its pod: nobody writes to the container's own file.
        let name = version == 1 ? "cpuset.effective_cpus" : "cpuset.cpus.effective"
        let effective = try tree.container("cpuset") + "/" + name
        let hidden = tree.path + "/hidden"
        #expect(link(effective, hidden) == 0)
        try tree.write("0-2\n", to: hidden)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "cpu/cpuset_cores") != 3)
        let pod = URL(fileURLWithPath: effective).deletingLastPathComponent()
            .deletingLastPathComponent().path
        try tree.write("0-2\n", to: pod + "/" + name)
        step(sampler, encoder, tree)
        #expect(value(sampler, encoder, "cpu/cpuset_cores") == 3)

        // A process that moves into the pod is no setting.
        try tree.write("0-3\n", to: hidden)
        let moved = pod + (version == 1 ? "/tasks" : "/cgroup.procs")
        try Data("1\n".utf8).write(to: URL(fileURLWithPath: moved))
        let opened = sampler.files.transientOpenCount
        step(sampler, encoder, tree)
        let openedInAStep = sampler.files.transientOpenCount - opened
        #expect(value(sampler, encoder, "cpu/cpuset_cores") == 3)
        var steps = 0
        while value(sampler, encoder, "cpu/cpuset_cores") == 3, steps < 700 {
            step(sampler, encoder, tree)
            steps += 1
        }
        #expect(steps > 60 && steps <= 600, "\(steps)")
        #expect(
            openedInAStep < 20, "\(openedInAStep) files opened in a step in which nothing happened")
    }

    /// A file that takes a hundred times as long as its relatives is read less often, said once,
    /// and read as before when it is quick again.
    @Test func aSlowFileIsReadLessOften() throws {
        let tree = try SmallTree(version: 2)
        let slow = try tree.container() + "/memory.stat"
        let files = HostFiles()
        let trap = SlowFile(slow, tree)
        files.fault = { trap.hears($0, files) }
        let (sampler, encoder) = (try tree.sampler(files: files), FrameEncoder())
        for _ in 0..<60 { step(sampler, encoder, tree) }
        #expect(sampler.slowFileCount == 0, "\(files.takeNotices())")
        trap.milliseconds = 20
        let before = trap.count
        for _ in 0..<200 { step(sampler, encoder, tree) }
        #expect(sampler.slowFileCount == 1)
        #expect(sampler.skippedReadCount > 150)
        #expect(trap.count - before < 30, "\(trap.count - before) of 200")
        let notices = files.takeNotices()
        #expect(notices.count { $0.contains("memory.stat takes") } == 1, "\(notices)")
        trap.milliseconds = 0
        for _ in 0..<200 { step(sampler, encoder, tree) }
        #expect(sampler.slowFileCount == 0)
        let skipped = sampler.skippedReadCount
        for _ in 0..<10 { step(sampler, encoder, tree) }
        #expect(sampler.skippedReadCount == skipped)
    }

    /// Moves the clock when one file is read.
    private final class SlowFile {
        var milliseconds: Int64 = 0
        private(set) var count = 0
        private let path: String
        private let tree: SmallTree
        private var descriptors: Set<Int32> = []

        init(_ path: String, _ tree: SmallTree) {
            self.path = path
            self.tree = tree
        }

        func hears(_ call: HostFiles.Call, _ files: HostFiles) -> Int32? {
            guard case .read(let descriptor) = call else { return nil }
            var bytes = [CChar](repeating: 0, count: 4_096)
            let length = readlink("/proc/self/fd/\(descriptor)", &bytes, bytes.count - 1)
            let name = String(
                decoding: bytes.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
            if name == path || name.hasSuffix(path) {
                count += 1
                tree.advance(milliseconds: milliseconds)
            }
            return nil
        }
    }
}
