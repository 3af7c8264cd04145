import Wire

/// `/api/v1/machines` and `/api/v1/machines/{node}`: what each node's machine is made of, as its agent said in
/// its hello or later. Names are those of cAdvisor's `machine` (`info/v1/machine.go` of google/cadvisor) where
/// that has them; what an agent could not find out is left out.
struct MachineAPI: Sendable {
    let index: ClusterIndex

    func register(in router: inout Router) {
        router.add(.get, "/api/v1/machines") { _ in .onWorker { _ in machines() } }
        router.add(.get, "/api/v1/machines/{node}") { request in
            .now(machine(of: request.parameter(0)))
        }
    }

    private func machines() -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginArray()
        for node in index.nodes() { Self.write(node, into: &writer) }
        writer.endArray()
        writer.bytes.append(UInt8(ascii: "\n"))
        return .json(writer.bytes)
    }

    private func machine(of name: String) -> HTTPResponse {
        guard let node = index.node(named: name) else {
            return .text(.notFound, "no agent of this node has told of its machine\n")
        }
        var writer = JSONWriter()
        Self.write(node, into: &writer)
        writer.bytes.append(UInt8(ascii: "\n"))
        return .json(writer.bytes)
    }

    private static func write(_ node: JoinedNode, into writer: inout JSONWriter) {
        let machine = node.machine
        writer.beginObject()
        put("node", node.name, &writer)
        for (key, text) in [
            ("machine_id", machine.machineID), ("system_uuid", machine.systemUUID),
            ("boot_id", machine.bootID), ("vendor", machine.vendor), ("product", machine.product),
            ("architecture", machine.architecture), ("kernel_version", machine.kernelVersion),
            ("container_os_version", machine.operatingSystem),
            ("cgroup_driver", machine.cgroupDriver), ("cpu_vendor_id", machine.cpuVendor),
            ("cpu_model", machine.cpuModel),
        ] as [(StaticString, String)] { put(key, text, &writer) }
        for (key, number) in [
            ("cgroup_version", machine.cgroupVersion), ("num_cores", machine.cores),
            ("num_physical_cores", machine.physicalCores), ("num_sockets", machine.sockets),
            ("num_numa_nodes", machine.numaNodes), ("cpu_frequency_khz", machine.cpuKilohertz),
            ("memory_capacity", machine.memoryBytes), ("swap_capacity", machine.swapBytes),
        ] as [(StaticString, UInt64)] { put(key, number, &writer) }
        if machine.bootTimeMilliseconds > 0 {
            writer.key("boot_time")
            writer.time(milliseconds: Int64(clamping: machine.bootTimeMilliseconds))
        }
        list("topology", machine.nodes, &writer, write)
        list("hugepages", machine.hugePages, &writer) { pool, writer in
            // In KiB, as there.
            put("page_size", pool.pageBytes / 1_024, &writer)
            put("num_pages", pool.pageCount, &writer)
        }
        list("disks", machine.devices.filter { $0.kind == .disk }, &writer, writeDisk)
        list("network_devices", machine.devices.filter { $0.kind == .network }, &writer, writeCard)
        writer.endObject()
    }

    private static func write(_ node: NUMANode, into writer: inout JSONWriter) {
        writer.key("node_id")
        writer.unsigned(node.number)
        put("memory", node.memoryBytes, &writer)
        put("cpus", node.cpus, &writer)
        writer.key("distances")
        writer.beginArray()
        for distance in node.distances.split(separator: " ") {
            if let distance = UInt64(distance) { writer.unsigned(distance) }
        }
        writer.endArray()
    }

    private static func writeDisk(_ disk: MachineDevice, into writer: inout JSONWriter) {
        put("name", disk.name, &writer)
        put("device", disk.address, &writer)
        put("model", disk.model, &writer)
        put("size", disk.byteCount, &writer)
        writer.key("rotational")
        writer.boolean(disk.isRotational)
    }

    private static func writeCard(_ card: MachineDevice, into writer: inout JSONWriter) {
        put("name", card.name, &writer)
        put("mac_address", card.address, &writer)
        put("speed", card.speedMegabits, &writer)
        put("mtu", card.packetBytes, &writer)
    }

    // MARK: What is known

    private static func list<Item>(
        _ key: StaticString, _ items: [Item], _ writer: inout JSONWriter,
        _ write: (Item, inout JSONWriter) -> Void
    ) {
        writer.key(key)
        writer.beginArray()
        for item in items {
            writer.beginObject()
            write(item, &writer)
            writer.endObject()
        }
        writer.endArray()
    }

    private static func put(_ key: StaticString, _ text: String, _ writer: inout JSONWriter) {
        guard !text.isEmpty else { return }
        writer.key(key)
        writer.string(text)
    }

    private static func put(_ key: StaticString, _ number: UInt64, _ writer: inout JSONWriter) {
        guard number > 0 else { return }
        writer.key(key)
        writer.unsigned(number)
    }
}
