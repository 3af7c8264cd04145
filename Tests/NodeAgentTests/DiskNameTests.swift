import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// Whole disks of every kind are told from their partitions by what else the kernel lists.
@Suite struct DiskNameTests {
    private static let disks = [
        "sda", "sdaa", "vda", "xvda", "hda", "nvme0n1", "nvme1n12", "mmcblk0", "mmcblk0boot0",
        "dm-0",
        "dm-10", "md0", "md127", "nbd0", "rbd0", "drbd1", "bcache0", "pmem0", "dasda", "zd0",
    ]
    private static let others = [
        "sda1", "sda15", "sdaa2", "vda1", "xvda2", "hda3", "nvme0n1p1", "nvme1n12p10", "mmcblk0p1",
        "md0p1", "nbd0p2", "rbd0p1", "dasda1", "zd0p1", "loop0", "loop12", "ram0", "zram0", "fd0",
        "sr0",
    ]

    @Test func everyKindIsTold() {
        let names = Set(Self.disks + Self.others)
        for name in names {
            let isDisk = DiskSampler.isDisk(name, among: names)
            #expect(isDisk == Self.disks.contains(name), "\(name)")
        }
        // What a virtual machine is given in pieces, and what only looks like a partition.
        #expect(DiskSampler.isDisk("xvda1", among: ["xvda1", "xvdb"]))
        #expect(DiskSampler.isDisk("loopback1", among: ["loopback1"]))
    }

    /// Each becomes a subject, with what the kernel counted for it.
    @Test func eachDiskIsASubject() throws {
        let directory = try TemporaryDirectory()
        let names = Self.disks + Self.others
        let lines = names.enumerated().map { index, name in
            "   8 \(index) \(name) 1 2 \(index + 3) 4 5 6 \(index + 7) 8 9 10 11 0 0 0 0 0 0\n"
        }
        try Data(lines.joined().utf8).write(
            to: URL(fileURLWithPath: directory.path + "/diskstats"))
        var registry = SubjectRegistry()
        let added = registry.add(Subject(kind: .node), fields: [SchemaField(.readOffset)])
        let node = try #require(added)
        let sampler = try #require(
            DiskSampler(
                proc: directory.path, node: node, files: HostFiles(), makesSubjects: true))
        let hasNew = sampler.settle(registry: &registry)
        #expect(hasNew)
        let encoder = FrameEncoder()
        for change in registry.takeChanges() { try encoder.apply(change) }
        sampler.sample(into: encoder, offset: 0)
        var found: [String: [Int64]] = [:]
        for slot in registry.liveSlots where slot != node {
            found[registry.subject(of: slot)?.name ?? ""] = Array(encoder.row(of: slot)[1...2])
        }
        #expect(Set(found.keys) == Set(Self.disks))
        for (index, name) in names.enumerated() where Self.disks.contains(name) {
            #expect(found[name] == [512 * Int64(index + 3), 512 * Int64(index + 7)], "\(name)")
        }
    }
}
