import Foundation
import Testing
import Wire

@testable import NodeAgent

/// What is said of the machine, from trees of files made for it and from the captured ones.
@Suite struct MachineReaderTests {
    /// A directory of small files.
    private struct Tree {
        let directory: TemporaryDirectory

        init() throws { directory = try TemporaryDirectory() }

        func write(_ path: String, _ text: String) throws {
            let url = URL(fileURLWithPath: directory.path + "/" + path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data((text + "\n").utf8).write(to: url)
        }

        func read(_ files: HostFiles = HostFiles(), _ previous: MachineFacts? = nil) -> MachineFacts
        {
            let path = directory.path
            return MachineReader(
                roots: HostRoots(
                    proc: path + "/proc", cgroup: path + "/cgroup", sys: path + "/sys", rootfs: path
                ),
                files: files
            ).read(cgroupVersion: 2, driver: nil, previous: previous)
        }
    }

    @Test func partsOfTheMachineAreFound() throws {
        let tree = try Tree()
        for (node, memory) in [(0, 16_000_000), (1, 8_000_000)] {
            let directory = "sys/devices/system/node/node\(node)"
            try tree.write(directory + "/cpulist", node == 0 ? "0-1,4" : "2-3,5")
            try tree.write(directory + "/distance", node == 0 ? "10 21" : "21 10")
            try tree.write(
                directory + "/meminfo",
                "Node \(node) MemTotal:       \(memory) kB\nNode \(node) MemFree:  5 kB")
        }
        try tree.write("sys/devices/system/node/online", "0-1")
        for (cpu, core, socket) in [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 0, 1), (10, 7, 1)] {
            try tree.write("sys/devices/system/cpu/cpu\(cpu)/topology/core_id", "\(core)")
            try tree.write(
                "sys/devices/system/cpu/cpu\(cpu)/topology/physical_package_id", "\(socket)")
        }
        try tree.write("sys/devices/system/cpu/online", "0-3,10")
        try tree.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3500000")
        // As an ARM prints it: no cores, no clock.
        try tree.write(
            "proc/cpuinfo", (0..<5).map { "processor\t: \($0)\nCPU implementer\t: 0x41\n" }.joined()
        )
        try tree.write("sys/class/dmi/id/sys_vendor", "Maker")
        try tree.write("sys/class/dmi/id/product_name", "Thing 9")
        try tree.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512")
        try tree.write("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0")
        for (name, sectors, hidden) in [
            ("nvme0n1", "2000409264", "0"), ("nvme0c0n1", "2000409264", "1"), ("sda", "1024", nil),
            ("loop0", "8", nil), ("zram0", "8", nil), ("sr0", "8", nil), ("sdb", "0", nil),
        ] {
            try tree.write("sys/block/\(name)/size", sectors)
            try tree.write("sys/block/\(name)/dev", name == "sda" ? "8:0" : "259:1")
            if let hidden { try tree.write("sys/block/\(name)/hidden", hidden) }
        }
        try tree.write("sys/block/sda/queue/rotational", "1")
        try tree.write("sys/block/nvme0n1/device/model", "Fast disk   ")
        for name in ["eth0", "eth1", "veth12", "lo"] {
            try tree.write("sys/class/net/\(name)/address", "02:00:00:00:00:0\(name.count)")
            try tree.write("sys/class/net/\(name)/mtu", "1500")
        }
        try tree.write("sys/class/net/eth0/speed", "10000")
        try tree.write("sys/class/net/eth1/speed", "-1")
        for name in ["eth0", "eth1"] { try tree.write("sys/class/net/\(name)/device/vendor", "x") }

        let files = HostFiles()
        let facts = tree.read(files)
        #expect(facts.cores == 5)
        #expect(facts.physicalCores == 4)
        #expect(facts.sockets == 2)
        #expect(facts.cpuVendor == "0x41")
        #expect(facts.cpuKilohertz == 3_500_000)
        #expect(facts.vendor == "Maker" && facts.product == "Thing 9")
        #expect(facts.numaNodes == 2)
        #expect(facts.nodes.map(\.number) == [0, 1])
        #expect(facts.nodes.map(\.cpus) == ["0-1,4", "2-3,5"])
        #expect(facts.nodes.map(\.distances) == ["10 21", "21 10"])
        #expect(facts.nodes.map(\.memoryBytes) == [16_000_000 << 10, 8_000_000 << 10])
        #expect(facts.hugePages == [HugePagePool(pageBytes: 2 << 20, pageCount: 512)])
        #expect(facts.devices.map(\.name) == ["nvme0n1", "sda", "eth0", "eth1"])
        #expect(facts.devices.map(\.kind) == [.disk, .disk, .network, .network])
        #expect(facts.devices[0].byteCount == 2_000_409_264 * 512)
        #expect(facts.devices[0].model == "Fast disk")
        #expect(facts.devices[1].address == "8:0")
        #expect(facts.devices.map(\.isRotational) == [false, true, false, false])
        #expect(facts.devices.map(\.speedMegabits) == [0, 0, 10_000, 0])
        #expect(facts.devices[2].address == "02:00:00:00:00:04")
        #expect(facts.devices[2].packetBytes == 1_500)
        #expect(files.failureCount == 0, "\(files.takeNotices())")
        // The other end reads what this one writes.
        let read = try facts.encode().withUnsafeBytes { try MachineFacts(decoding: $0) }
        #expect(read == facts)
    }

    /// A clock that is only in /proc/cpuinfo moves all the time, and is no change of the machine.
    @Test func aClockThatMovesIsNoOtherMachine() throws {
        let tree = try Tree()
        func write(_ megahertz: String) throws {
            try tree.write(
                "proc/cpuinfo",
                "processor : 0\ncpu MHz : \(megahertz)\nphysical id : 0\ncore id : 0\n")
        }
        try write("2599.998")
        let first = tree.read()
        #expect(first.cpuKilohertz == 2_599_998)
        try write("1200.000")
        #expect(tree.read(HostFiles(), first) == first)
        #expect(tree.read().cpuKilohertz == 1_200_000)
    }

    /// A CPU that comes and a disk that grows are seen within a minute, and only then told.
    @Test(
        .enabled(if: !FixtureTree.all.isEmpty, "no captured trees"), arguments: [1, 2])
    func changesOfTheMachineAreSeenWithinAMinute(_ version: Int) throws {
        let tree = try SmallTree(version: version)
        let (sampler, encoder) = (try tree.sampler(), FrameEncoder())
        for _ in 0..<70 {
            tree.advance(milliseconds: 1_000)
            _ = sampler.step(into: encoder)
        }
        let before = sampler.machine
        #expect(before.cores > 0 && !before.nodes.isEmpty && before.memoryBytes > 0)
        let cpuInfo = tree.path + "/proc/cpuinfo"
        try tree.write(try tree.read(cpuInfo) + "processor\t: 4711\n\n", to: cpuInfo)
        let online = tree.path + "/sys/devices/system/cpu/online"
        if FileManager.default.fileExists(atPath: online) {
            try tree.write("0-\(before.cores)\n", to: online)
        }
        try FileManager.default.createDirectory(
            atPath: tree.path + "/sys/block/sdq", withIntermediateDirectories: true)
        try Data("2048\n".utf8).write(to: URL(fileURLWithPath: tree.path + "/sys/block/sdq/size"))
        _ = sampler.step(into: encoder)
        #expect(sampler.machine == before)
        tree.advance(milliseconds: 61_000)
        _ = sampler.step(into: encoder)
        #expect(sampler.machine.cores == before.cores + 1)
        #expect(sampler.machine.devices.contains { $0.name == "sdq" && $0.byteCount == 1 << 20 })
    }
}
