import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// Real containers on this machine: what they do must be seen, with the right values.
@Suite(.serialized, .enabled(if: LiveHost.unavailable == nil, "\(LiveHost.unavailable ?? "")"))
struct LiveContainerTests {
    private static let groups = SampleGroups.standard.subtracting([.filesystem, .agent])

    private func makeSampler(groups: SampleGroups = Self.groups) throws -> Sampler {
        var configuration = SamplerConfiguration()
        configuration.groups = groups
        configuration.resolutionMilliseconds = 1_000
        return try Sampler(configuration, files: HostFiles())
    }

    @Test func everyValueOfThisMachineLiesBetweenTwoIndependentReadings() throws {
        let data = try TemporaryDirectory()
        let busy = try RuncContainer(
            "while :; do :; done", .init(memoryBytes: 64 << 20, cpuQuota: 20_000, pids: 50))
        let writer = try RuncContainer(
            "while :; do dd if=/dev/zero of=/data/x bs=64k count=16 conv=fsync 2>/dev/null; "
                + "cat /data/x >/dev/null; sleep 1; done", .init(data: data.path))
        defer { withExtendedLifetime((busy, writer)) {} }
        Thread.sleep(forTimeInterval: 1)
        let sampler = try makeSampler()
        let encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        let before = try LiveHost.Readings.now()
        _ = sampler.step(into: encoder)
        let sampled = SampledValues(sampler, encoder)
        let after = try LiveHost.Readings.now()
        // Other cgroups' gauges move as they like; the busy one's are steady.
        let faults = LiveHost.compare(
            .init(sampled), before: before, after: after, steady: [busy.subject, busy.pod])
        #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
        #expect(before.values.keys.contains { $0.subject == busy.subject })
        #expect(sampler.files.failureCount == 0, "\(sampler.files.takeNotices())")
    }

    /// As uid 65534 without capabilities, everything mounted read-only elsewhere: the same answers,
    /// and what is denied is said.
    @Test func withoutPrivilegesTheAnswersAreTheSame() throws {
        let busy = try RuncContainer("while :; do :; done", .init(cpuQuota: 20_000))
        let networked = try RuncContainer("ip link add eth0 type veth; sleep 1000", .init())
        let shared = try RuncContainer("sleep 1000", .init(hasOwnNetwork: false))
        defer { withExtendedLifetime((busy, networked, shared)) {} }
        Thread.sleep(forTimeInterval: 1)
        let directory = try TemporaryDirectory()
        let agent = directory.path + "/agent"
        try FileManager.default.copyItem(
            atPath: RunningProgram.productsFolder.path + "/heapwire-agent", toPath: agent)
        let before = try LiveHost.Readings.now()
        let output = try run(
            packageRoot + "/Tests/Tools/unprivileged",
            [
                directory.path, agent, "--print-values", "--proc=\(directory.path)/proc",
                "--cgroup=\(directory.path)/sys/fs/cgroup", "--rootfs=\(directory.path)/rootfs",
            ])
        let after = try LiveHost.Readings.now()
        let sampled = try LiveHost.Readings(output)
        let faults = LiveHost.compare(
            sampled, before: before, after: after, steady: [busy.subject, busy.pod])
        #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
        let interfaces = Set(sampled.values.keys.map(\.subject).filter { $0.contains("interface") })
        #expect(interfaces.contains("\(networked.pod) | interface eth0"))
        #expect(!interfaces.contains { $0.hasPrefix(shared.pod) })
        #expect(sampled.values.count > 300)
        #expect(sampled.values[.init(subject: "agent", metric: "agent/read_errors")] == 0)
    }

    @Test func throttlingAndLimitsAreSeen() throws {
        let container = try RuncContainer(
            "while :; do :; done", .init(memoryBytes: 64 << 20, cpuQuota: 20_000, pids: 50))
        defer { container.stop() }
        // The shell's own start-up has its processes too.
        Thread.sleep(forTimeInterval: 0.7)
        let sampler = try makeSampler()
        let encoder = FrameEncoder()
        // The first steps find the quota, and from then on throttling is read at each.
        for _ in 0..<2 { _ = sampler.step(into: encoder) }
        let first = SampledValues(sampler, encoder)
        Thread.sleep(forTimeInterval: 2)
        _ = sampler.step(into: encoder)
        let sampled = SampledValues(sampler, encoder)
        let subject = container.subject
        #expect(sampled[subject, "cpu/cfs_quota"] == 20_000_000)
        #expect(sampled[subject, "cpu/cfs_period"] == 100_000_000)
        #expect(sampled[subject, "cpu/shares"] == 512)
        #expect(sampled[subject, "memory/cgroup_limit"] == 64 << 20)
        #expect(sampled[subject, "process/threads_limit"] == 50)
        #expect(sampled[subject, "process/threads"] == 1)
        #expect(sampled[subject, "process/count"] == 1)
        let throttled = try #require(sampled[subject, "cpu/cfs_throttled_periods"])
        #expect(throttled - (first[subject, "cpu/cfs_throttled_periods"] ?? 0) >= 10)
        let used = try #require(sampled[subject, "cpu/usage"]) - (first[subject, "cpu/usage"] ?? 0)
        // A fifth of a core for two seconds, if the machine has as much to give.
        #expect((50_000_000...500_000_000).contains(used), "\(used) ns")
        #expect(sampled.subjects[container.pod]?.kind == .pod)
        #expect(sampled.subjects[subject]?.attributes[.qosClass] == "burstable")

        // A pod that is resized in place: the kernel tells, and the next step has it.
        let isV2 = FileManager.default.fileExists(atPath: "/sys/fs/cgroup/cgroup.controllers")
        let limit =
            "/sys/fs/cgroup/"
            + (isV2
                ? container.cgroup + "/memory.max"
                : "memory/\(container.cgroup)/memory.limit_in_bytes")
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: limit))
        try file.write(contentsOf: Data("50331648\n".utf8))
        try file.close()
        _ = sampler.step(into: encoder)
        #expect(SampledValues(sampler, encoder)[subject, "memory/cgroup_limit"] == 48 << 20)
    }

    @Test func anOOMKillIsSeenAndSurvivesItsContainer() throws {
        let pod = UUID().uuidString.lowercased()
        let bystander = try RuncContainer(pod: pod, "sleep 1000", .init())
        // The shell lives on; its child is killed.
        let victim = try RuncContainer(
            pod: pod,
            "sleep 0.5; dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 1000",
            .init(memoryBytes: 24 << 20))
        defer { bystander.stop() }
        let sampler = try makeSampler()
        let encoder = FrameEncoder()
        let isKilled = eventually {
            _ = sampler.step(into: encoder)
            return SampledValues(sampler, encoder)[victim.subject, "memory/oom_kills"] == 1
        }
        #expect(isKilled)
        #expect(SampledValues(sampler, encoder)[victim.pod, "memory/oom_kills"] == 1)
        victim.stop()
        let isGone = eventually {
            _ = sampler.step(into: encoder)
            return SampledValues(sampler, encoder).subjects[victim.subject] == nil
        }
        #expect(isGone)
        _ = sampler.step(into: encoder)
        #expect(SampledValues(sampler, encoder)[victim.pod, "memory/oom_kills"] == 1)
    }

    @Test func aPodsNetworkIsReadInItsOwnNamespace() throws {
        let own = try RuncContainer(
            "ifconfig lo up; ip link add eth0 type veth; "
                + "ip addr add 10.9.0.1/24 dev eth0; ip link set eth0 up; ip link set veth0 up; "
                + "while :; do ping -c 1 -W 1 10.9.0.2; sleep 1; done >/dev/null 2>&1", .init())
        let shared = try RuncContainer("sleep 1000", .init(hasOwnNetwork: false))
        defer { withExtendedLifetime((own, shared)) {} }
        let sampler = try makeSampler()
        let encoder = FrameEncoder()
        let isSeen = eventually {
            _ = sampler.step(into: encoder)
            let values = SampledValues(sampler, encoder)
            return (values["\(own.pod) | interface eth0", "network/tx_packets"] ?? 0) > 0
        }
        #expect(isSeen)
        let sampled = SampledValues(sampler, encoder)
        #expect(sampled.subjects["\(own.pod) | interface lo"] == nil)
        #expect(!sampled.subjects.keys.contains { $0.hasPrefix("\(shared.pod) | interface") })
        #expect(sampled.subjects[shared.pod]?.attributes[.sandbox] == "host-network")
        #expect(sampled.subjects[own.pod]?.attributes[.sandbox] == nil)
    }

    @Test func comingAndGoingIsSeenWithinAStepAndTheStartStaysTheSame() throws {
        let sampler = try makeSampler()
        let encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        let container = try RuncContainer("sleep 1000", .init(memoryBytes: 32 << 20))
        let wanted = container.subject
        let isSeen = eventually {
            !sampler.stepNew(into: encoder).isEmpty
                && SampledValues(sampler, encoder).subjects[wanted] != nil
        }
        #expect(isSeen)
        let sampled = SampledValues(sampler, encoder)
        let start = try #require(sampled.subjects[wanted]?.startTimeMilliseconds)
        #expect(abs(start - Int64(Date().timeIntervalSince1970 * 1_000)) < 3_000)
        #expect((sampled[wanted, "memory/usage"] ?? 0) > 0)

        // Another agent, later, says the same of it.
        let (again, againEncoder) = (try makeSampler(), FrameEncoder())
        _ = again.step(into: againEncoder)
        let second = SampledValues(again, againEncoder)
        #expect(second.subjects[wanted]?.startTimeMilliseconds == start)
        #expect(
            second.subjects[container.pod]?.startTimeMilliseconds
                == sampled.subjects[container.pod]?.startTimeMilliseconds)

        container.stop()
        _ = sampler.step(into: encoder)
        #expect(SampledValues(sampler, encoder).subjects[wanted] == nil)
    }

    @Test func blockIOIsCountedByDevice() throws {
        let data = try TemporaryDirectory()
        // Direct I/O: v1 does not charge buffered writes to whoever wrote. A rule, one that never
        // bites: recent kernels count for v1 only where there is one.
        let writer = try RuncContainer(
            "sleep 0.5; dd if=/dev/zero of=/data/x bs=1M count=8 oflag=direct 2>/dev/null; sleep 1000",
            .init(data: data.path, isThrottled: true))
        defer { writer.stop() }
        let sampler = try makeSampler()
        let encoder = FrameEncoder()
        var written: Int64 = 0
        let isSeen = eventually {
            _ = sampler.step(into: encoder)
            written =
                SampledValues(sampler, encoder).values.filter {
                    $0.key.subject.hasPrefix("\(writer.subject) | disk")
                        && $0.key.metric == "disk/io_write_bytes"
                }.map(\.value).max() ?? 0
            return written >= 8 << 20
        }
        #expect(isSeen, "\(written) bytes")
        #expect(written <= 9 << 20, "\(written) bytes")
    }
}
