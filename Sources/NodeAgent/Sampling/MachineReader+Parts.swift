import Wire

/// What the machine is made of: cores, nodes of memory, huge pages, disks, network cards.
///
/// Sources: <https://docs.kernel.org/admin-guide/cputopology.html>, and the files of
/// `Documentation/ABI` under `/sys`. What a machine does not show is empty; nothing here is a failure.
extension MachineReader {
    /// The highest clock that the CPU may have, or what it had when it was first looked at: `cpu MHz` moves.
    func readClock(_ processors: CPUInfo, _ facts: inout MachineFacts) {
        let highest = number(roots.sys + "/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
        if highest > 0 {
            facts.cpuKilohertz = highest
        } else if facts.cpuKilohertz == 0 {
            facts.cpuKilohertz = UInt64(clamping: processors.kilohertz)
        }
    }

    /// Cores and sockets where `/proc/cpuinfo` does not tell them, as on ARM.
    func readTopology(_ facts: inout MachineFacts) {
        let root = roots.sys + "/devices/system/cpu"
        var (cores, sockets): (Set<String>, Set<String>) = ([], [])
        for cpu in numbered("cpu", in: root) {
            let topology = "\(root)/cpu\(cpu)/topology"
            guard let core = files.line(topology + "/core_id"),
                let socket = files.line(topology + "/physical_package_id")
            else { continue }
            cores.insert(socket + "/" + core)
            sockets.insert(socket)
        }
        if !cores.isEmpty {
            facts.physicalCores = UInt64(cores.count)
            facts.sockets = UInt64(sockets.count)
        }
    }

    func readParts(_ facts: inout MachineFacts) {
        let identity = roots.sys + "/class/dmi/id/"
        facts.vendor = line(identity + "sys_vendor")
        facts.product = line(identity + "product_name")
        facts.nodes = numbered("node", in: roots.sys + "/devices/system/node").map(node)
        facts.numaNodes = UInt64(max(1, facts.nodes.count))
        facts.hugePages = hugePages()
        facts.devices = Array((disks() + networkCards()).prefix(MachineFacts.deviceLimit))
    }

    private func node(_ number: UInt64) -> NUMANode {
        let directory = roots.sys + "/devices/system/node/node\(number)"
        var node = NUMANode()
        node.number = number
        node.cpus = line(directory + "/cpulist")
        node.distances = line(directory + "/distance")
        // `Node 0 MemTotal:       16318456 kB`
        let text = attempt { () throws(KernelFileError) in
            try files.read(directory + "/meminfo").string
        }
        for line in (text ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 4, words[2] == "MemTotal:", let kilobytes = UInt64(words[3]) else {
                continue
            }
            node.memoryBytes = kilobytes &* 1_024
        }
        return node
    }

    private func hugePages() -> [HugePagePool] {
        let root = roots.sys + "/kernel/mm/hugepages"
        return entries(of: root).compactMap { name in
            let digits = name.dropFirst("hugepages-".utf8.count).prefix { $0.isNumber }
            guard let kilobytes = UInt64(digits), kilobytes > 0 else { return nil }
            let count = number("\(root)/\(name)/nr_hugepages")
            return HugePagePool(pageBytes: kilobytes &* 1_024, pageCount: count)
        }.filter { $0.pageCount > 0 }.sorted { $0.pageBytes < $1.pageBytes }
    }

    /// Whole disks with a size; not loops, memory disks, floppies, CD-ROMs, nor the hidden halves of
    /// multipath ones.
    private func disks() -> [MachineDevice] {
        let root = roots.sys + "/block"
        let names = Set(entries(of: root))
        return names.sorted().compactMap { name in
            let directory = "\(root)/\(name)"
            let sectors = number(directory + "/size")
            guard sectors > 0, DiskSampler.isDisk(name, among: names),
                number(directory + "/hidden") == 0
            else { return nil }
            var disk = MachineDevice(kind: .disk, name: name)
            disk.address = line(directory + "/dev")
            disk.byteCount = sectors &* 512
            disk.model = line(directory + "/device/model")
            disk.isRotational = number(directory + "/queue/rotational") == 1
            return disk
        }
    }

    /// Interfaces with a device behind them, a virtual machine's included; what is made of nothing but
    /// software, pods' ends among it, is not the machine.
    private func networkCards() -> [MachineDevice] {
        let root = roots.sys + "/class/net"
        return entries(of: root).sorted().compactMap { name in
            let directory = "\(root)/\(name)"
            guard files.exists(directory + "/device") else { return nil }
            var card = MachineDevice(kind: .network, name: name)
            card.address = line(directory + "/address")
            card.packetBytes = number(directory + "/mtu")
            // -1 or an error where there is no link or no speed.
            card.speedMegabits = UInt64(files.quietLine(directory + "/speed") ?? "") ?? 0
            return card
        }
    }

    // MARK: Small files

    /// The first line, without the blanks that drivers fill up names with.
    private func line(_ path: String) -> String {
        guard files.exists(path), var line = files.line(path) else { return "" }
        while line.last == " " { line.removeLast() }
        return line
    }

    private func number(_ path: String) -> UInt64 { UInt64(line(path)) ?? 0 }

    private func entries(of path: String) -> [String] {
        guard files.exists(path) else { return [] }
        return attempt { () throws(KernelFileError) in try files.entries(of: path).map(\.name) }
            ?? []
    }

    /// The numbers after a word in a directory's names, ascending: 0, 1, 10 of `node0`, `node1`, `node10`.
    private func numbered(_ word: String, in path: String) -> [UInt64] {
        entries(of: path).compactMap {
            $0.hasPrefix(word) ? UInt64($0.dropFirst(word.utf8.count)) : nil
        }
        .sorted()
    }
}
