import Glibc
import Wire

/// Reads what the hello says of the machine: once at the start, and again now and then, for CPUs,
/// memory and swap can be added while it runs.
struct MachineReader {
    let roots: HostRoots
    let files: HostFiles

    /// - Parameters:
    ///   - cgroupVersion: 1, 2, or 0 for none.
    ///   - driver: what the pods' paths look like, where there are pods.
    ///   - previous: what was read last, for what would move without a change of the machine.
    func read(
        cgroupVersion: Int, driver: PodCgroupPath.Driver?, previous: MachineFacts? = nil
    ) -> MachineFacts {
        var facts = MachineFacts()
        let kernel = roots.proc + "/sys/kernel/"
        facts.kernelVersion = files.line(kernel + "osrelease") ?? ""
        if facts.kernelVersion.isEmpty { facts.kernelVersion = versionFromBanner() }
        facts.bootID = files.line(kernel + "random/boot_id") ?? ""
        facts.machineID =
            files.line(roots.path(onHost: "/etc/machine-id"))
            ?? files.line(roots.path(onHost: "/var/lib/dbus/machine-id")) ?? ""
        facts.systemUUID = files.line(roots.sys + "/class/dmi/id/product_uuid") ?? ""
        facts.operatingSystem = operatingSystem()
        facts.architecture = architecture()
        facts.cgroupVersion = UInt64(cgroupVersion)
        facts.cgroupDriver = driver?.rawValue ?? ""
        facts.cpuKilohertz = previous?.cpuKilohertz ?? 0
        readProcessors(&facts)
        readMemory(&facts)
        readParts(&facts)
        if let stat = attempt({ () throws(KernelFileError) in
            try files.parse(roots.proc + "/stat", ProcStat.init(parsing:))
        }) {
            facts.bootTimeMilliseconds = UInt64(clamping: stat.bootTimeSeconds * 1_000)
        }
        return facts
    }

    /// `Linux version 6.1.0-56-amd64 (…`.
    private func versionFromBanner() -> String {
        let words = (files.line(roots.proc + "/version") ?? "").split(separator: " ")
        return words.count > 2 ? String(words[2]) : ""
    }

    private func operatingSystem() -> String {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            let text = attempt { () throws(KernelFileError) in
                try files.read(roots.path(onHost: path)).string
            }
            let line = text?.split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
            if let line { return String(line.dropFirst(12).filter { $0 != "\"" }) }
        }
        return ""
    }

    private func architecture() -> String {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: &name.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private func readProcessors(_ facts: inout MachineFacts) {
        if let text = attempt({ () throws(KernelFileError) in
            try files.read(roots.proc + "/cpuinfo")
        }) {
            let processors = CPUInfo(parsing: text)
            facts.cores = UInt64(processors.cpuCount)
            facts.physicalCores = UInt64(processors.coreCount)
            facts.sockets = UInt64(processors.socketCount)
            facts.cpuVendor = processors.vendor
            facts.cpuModel = processors.model
            readClock(processors, &facts)
            if !processors.hasTopology { readTopology(&facts) }
        }
        // What is online, where /proc/cpuinfo is the view of a smaller container.
        if let online = attempt({ () throws(KernelFileError) in
            try files.parse(roots.sys + "/devices/system/cpu/online", CPUList.count)
        }), online > 0 {
            facts.cores = UInt64(online)
        }
    }

    private func readMemory(_ facts: inout MachineFacts) {
        var memory = KeyedMetrics([], otherKeys: ["MemTotal:", "SwapTotal:"])
        var values: [Int64] = [0, 0]
        guard
            let text = attempt({ () throws(KernelFileError) in
                try files.read(roots.proc + "/meminfo")
            })
        else { return }
        do {
            try values.withUnsafeMutableBufferPointer { (buffer) throws(KernelTextError) in
                if let base = buffer.baseAddress { _ = try memory.parse(text, into: base) }
            }
        } catch {
            files.note(.malformed(path: roots.proc + "/meminfo", error))
            return
        }
        facts.memoryBytes = UInt64(clamping: values[0] &* MemInfo.kB)
        facts.swapBytes = UInt64(clamping: values[1] &* MemInfo.kB)
    }

    /// A fact that cannot be read is left out; the files count why.
    func attempt<Value>(_ body: () throws(KernelFileError) -> Value) -> Value? {
        do {
            return try body()
        } catch {
            return nil
        }
    }
}
