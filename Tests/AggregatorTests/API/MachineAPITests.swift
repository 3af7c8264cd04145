import Foundation
import Testing
import Wire

@testable import Aggregator

/// What agents said of their machines, as JSON.
@Suite struct MachineAPITests {
    private func router(_ machine: MachineFacts) throws -> Router {
        let directory = PodDirectory()
        let cluster = Cluster(configuration: ModelConfiguration(), facts: directory)
        let agent = SyntheticNode("n1")
        var hello = agent.hello
        hello.machine = machine
        let model = try #require(cluster.enter(hello, now: 1_000)).0
        _ = model.begin(hello)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        try model.receive(agent.frame(step: 60_000))
        return AggregatorAPI(
            cluster: cluster, ingest: IngestCounters(),
            metadata: MetadataMetrics(directory: directory, status: nil)
        ).router()
    }

    private func object(_ router: Router, _ path: String) throws -> Any {
        let answer = try RoutedAnswer(router, path)
        #expect(answer.status == .ok)
        return try JSONSerialization.jsonObject(with: Data(answer.body))
    }

    @Test func everyFactIsThere() throws {
        var machine = MachineFacts()
        (machine.machineID, machine.bootID, machine.systemUUID) = ("m", "b", "s")
        (machine.kernelVersion, machine.operatingSystem) = ("6.1", "Debian")
        (machine.architecture, machine.vendor, machine.product) = ("x86_64", "QEMU", "a \"PC\"")
        (machine.cgroupVersion, machine.cgroupDriver) = (2, "systemd")
        (machine.cores, machine.physicalCores, machine.sockets) = (8, 4, 1)
        (machine.numaNodes, machine.memoryBytes, machine.swapBytes) = (1, 1 << 40, 1 << 30)
        (machine.cpuVendor, machine.cpuModel) = ("AuthenticAMD", "EPYC")
        (machine.cpuKilohertz, machine.bootTimeMilliseconds) = (2_400_000, 1_700_000_000_000)
        var node = NUMANode()
        (node.memoryBytes, node.cpus, node.distances) = (1 << 40, "0-7", "10")
        machine.nodes = [node]
        machine.hugePages = [HugePagePool(pageBytes: 2 << 20, pageCount: 16)]
        var disk = MachineDevice(kind: .disk, name: "sda")
        (disk.model, disk.address, disk.byteCount, disk.isRotational) = ("X", "8:0", 512, true)
        var card = MachineDevice(kind: .network, name: "eth0")
        (card.address, card.speedMegabits, card.packetBytes) = ("02:00:00:00:00:01", 1_000, 1_500)
        machine.devices = [disk, card]
        let expected: [String: Any] = [
            "node": "n1", "machine_id": "m", "boot_id": "b", "system_uuid": "s",
            "kernel_version": "6.1", "container_os_version": "Debian", "architecture": "x86_64",
            "vendor": "QEMU", "product": "a \"PC\"", "cgroup_version": 2,
            "cgroup_driver": "systemd", "num_cores": 8, "num_physical_cores": 4,
            "num_sockets": 1, "num_numa_nodes": 1, "memory_capacity": 1 << 40,
            "swap_capacity": 1 << 30, "cpu_vendor_id": "AuthenticAMD", "cpu_model": "EPYC",
            "cpu_frequency_khz": 2_400_000, "boot_time": "2023-11-14T22:13:20Z",
            "topology": [["node_id": 0, "memory": 1 << 40, "cpus": "0-7", "distances": [10]]],
            "hugepages": [["page_size": 2_048, "num_pages": 16]],
            "disks": [
                ["name": "sda", "device": "8:0", "model": "X", "size": 512, "rotational": true]
            ],
            "network_devices": [
                [
                    "name": "eth0", "mac_address": "02:00:00:00:00:01", "speed": 1_000,
                    "mtu": 1_500,
                ]
            ],
        ]
        let router = try router(machine)
        let one = try object(router, "/api/v1/machines/n1")
        #expect((one as? NSDictionary) == NSDictionary(dictionary: expected), "\(one)")
        let all = try object(router, "/api/v1/machines")
        #expect((all as? NSArray) == NSArray(array: [expected]), "\(all)")
    }

    @Test func whatIsNotKnownIsLeftOut() throws {
        let router = try router(MachineFacts())
        let one = try object(router, "/api/v1/machines/n1") as? NSDictionary
        #expect(
            one == [
                "node": "n1", "topology": [], "hugepages": [], "disks": [], "network_devices": [],
            ])
        #expect(try RoutedAnswer(router, "/api/v1/machines/n2").status == .notFound)
    }
}
