import Wire

/// One sample of the machine as readable tables: what `--print` writes. Two samples about a second
/// apart, so that counters can be shown as rates.
struct SamplePrinter {
    private let sampler: Sampler
    private let encoder: FrameEncoder
    private var before: [Slot: [Int64]] = [:]
    private var beforeNanoseconds: Int64 = 0
    private var afterNanoseconds: Int64 = 0

    /// Takes both samples.
    ///
    /// - Parameter wait: lets the time between the samples pass.
    init(_ sampler: Sampler, wait: () -> Void) {
        self.sampler = sampler
        encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        beforeNanoseconds = sampler.clock.monotonicNanoseconds()
        for slot in sampler.registry.liveSlots { before[slot] = Array(encoder.row(of: slot)) }
        wait()
        _ = sampler.step(into: encoder)
        afterNanoseconds = sampler.clock.monotonicNanoseconds()
    }

    /// All tables, lines ended by a newline.
    func text() -> String {
        var parts = [machine(), node(), cgroups()]
        parts.append(
            table(
                .networkInterface,
                ["INTERFACE", "OF", "RX/s", "TX/s", "RX", "TX", "ERRORS", "DROPS"]
            ) { slot, name, owner in
                [
                    name, owner, rate(slot, .networkReceiveBytes).map(bytes),
                    rate(slot, .networkTransmitBytes).map(bytes),
                    value(slot, .networkReceiveBytes).map(bytes),
                    value(slot, .networkTransmitBytes).map(bytes),
                    sum(slot, [.networkReceiveErrors, .networkTransmitErrors]).map { "\($0)" },
                    sum(slot, [.networkReceiveDropped, .networkTransmitDropped]).map { "\($0)" },
                ]
            })
        parts.append(
            table(.blockDevice, ["DISK", "OF", "READ/s", "WRITE/s", "READ", "WRITTEN", "BUSY"]) {
                slot, name, owner in
                [
                    name, owner, rate(slot, .diskReadBytes).map(bytes),
                    rate(slot, .diskWriteBytes).map(bytes), value(slot, .diskReadBytes).map(bytes),
                    value(slot, .diskWriteBytes).map(bytes),
                    rate(slot, .diskIOTime).map { "\($0 / 10) %" },
                ]
            })
        parts.append(
            table(.filesystem, ["FILESYSTEM", "OF", "SIZE", "USED", "AVAILABLE", "INODES FREE"]) {
                slot, name, owner in
                [
                    name, owner, value(slot, .filesystemLimit).map(bytes),
                    value(slot, .filesystemUsage).map(bytes),
                    value(slot, .filesystemAvailable).map(bytes),
                    value(slot, .filesystemInodesFree).map { "\($0)" },
                ]
            })
        parts.append(agent())
        return parts.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    // MARK: Tables

    private func machine() -> String {
        let facts = sampler.machine
        let cgroups =
            sampler.hierarchies.map { "cgroup v\($0.version)" } ?? "no cgroup filesystem found"
        return """
            \(facts.operatingSystem.isEmpty ? "Linux" : facts.operatingSystem), \
            kernel \(facts.kernelVersion), \(facts.cores) CPUs, \
            \(bytes(Int64(clamping: facts.memoryBytes))) memory, \(cgroups)\n
            """
    }

    private func node() -> String {
        let slot = sampler.nodeSlot
        let load = [MetricID.load1, .load5, .load15].map { value(slot, $0).map(thousandths) ?? "-" }
        let pressure: [(String, MetricID)] = [
            ("cpu", .pressureCPUSome), ("memory", .pressureMemorySome), ("io", .pressureIOSome),
        ]
        let stalls = pressure.map { name, metric in
            "\(name) " + (rate(slot, metric).map { "\(thousandths($0 / 10_000)) %" } ?? "-")
        }
        let network = [MetricID.networkReceiveBytes, .networkTransmitBytes].map {
            rate(slot, $0).map { bytes($0) + "/s" } ?? "-"
        }
        return """
            node     cpu \(cores(slot)) (user \(cores(slot, .cpuUser)), \
            system \(cores(slot, .cpuSystem)), iowait \(cores(slot, .cpuIOWait)))   \
            load \(load.joined(separator: " "))   up \(duration(value(slot, .uptime) ?? 0))
            memory   usage \(text(slot, .memoryUsage))   \
            working set \(text(slot, .memoryWorkingSet))   \
            available \(text(slot, .memoryAvailable))   swap \(text(slot, .memorySwap))
            network  in \(network[0])   out \(network[1])   \
            TCP sockets \(value(slot, .tcpInUse) ?? 0)
            pressure \(stalls.joined(separator: "   "))\n
            """
    }

    private func cgroups() -> String {
        let kinds: [SubjectKind] = [.pod, .container, .systemContainer]
        let slots = sampler.registry.liveSlots.filter { slot in
            sampler.registry.subject(of: slot).map { kinds.contains($0.kind) } ?? false
        }
        let ranked = slots.map { (slot: $0, cpu: rate($0, .cpuUsage) ?? 0) }.sorted {
            ($1.cpu, value($1.slot, .memoryWorkingSet) ?? 0)
                < ($0.cpu, value($0.slot, .memoryWorkingSet) ?? 0)
        }
        let headings = [
            "CGROUP", "CPU m", "LIMIT m", "THROTTLED", "WORKING SET", "USAGE", "RSS", "CACHE",
            "LIMIT", "THREADS", "OOM",
        ]
        let rows = ranked.map { slot, _ in
            [
                name(slot), cores(slot, unit: false), cpuLimit(slot), throttled(slot),
                text(slot, .memoryWorkingSet), text(slot, .memoryUsage), text(slot, .memoryRSS),
                text(slot, .memoryCache), text(slot, .memoryCgroupLimit),
                value(slot, .processThreads).map { "\($0)" } ?? "-",
                value(slot, .memoryOOMKills).map { "\($0)" } ?? "-",
            ]
        }
        return rows.isEmpty ? "" : Self.layOut([headings] + rows)
    }

    private func table(
        _ kind: SubjectKind, _ headings: [String], _ columns: (Slot, String, String) -> [String?]
    ) -> String {
        var rows: [[String]] = []
        for slot in sampler.registry.liveSlots {
            guard let subject = sampler.registry.subject(of: slot), subject.kind == kind else {
                continue
            }
            let owner = subject.parent.map(name) ?? ""
            rows.append(columns(slot, subject.name, owner).map { $0 ?? "-" })
        }
        return rows.isEmpty ? "" : Self.layOut([headings] + rows)
    }

    private func agent() -> String {
        let slot = sampler.registry.liveSlots.first {
            sampler.registry.subject(of: $0)?.kind == .agent
        }
        guard let slot else { return "" }
        return """
            agent    \(value(slot, .agentSubjects) ?? 0) subjects read in \
            \((value(slot, .agentSampleTime) ?? 0) / 1_000) µs, \
            \(value(slot, .agentOpenFiles) ?? 0) files open, \(text(slot, .agentRSS)) resident, \
            \(value(slot, .agentReadErrors) ?? 0) read errors\n
            """
    }

    /// Left column flush left, all others flush right.
    static func layOut(_ rows: [[String]]) -> String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }
            return cells.joined(separator: "  ").trimmingTrailingSpaces() + "\n"
        }.joined()
    }

    // MARK: Values

    private func value(_ slot: Slot, _ metric: MetricID) -> Int64? {
        guard let column = sampler.registry.schema(of: slot)?.column(of: metric) else { return nil }
        let row = encoder.row(of: slot)
        return column < row.count ? row[column] : nil
    }

    /// Per second between the two samples; `nil` for a subject that is in one of them only.
    private func rate(_ slot: Slot, _ metric: MetricID) -> Int64? {
        guard let after = value(slot, metric), let row = before[slot],
            let column = sampler.registry.schema(of: slot)?.column(of: metric),
            column < row.count, afterNanoseconds > beforeNanoseconds
        else { return nil }
        let seconds = Double(afterNanoseconds - beforeNanoseconds) / 1e9
        return Int64((Double(after - row[column]) / seconds).rounded())
    }

    private func sum(_ slot: Slot, _ metrics: [MetricID]) -> Int64? {
        let values = metrics.compactMap { value(slot, $0) }
        return values.isEmpty ? nil : values.reduce(0, &+)
    }

    private func name(_ slot: Slot) -> String {
        guard let subject = sampler.registry.subject(of: slot) else { return "?" }
        switch subject.kind {
        case .node: return "node"
        case .pod: return "pod \(subject.podUID)"
        case .container: return "pod \(subject.podUID.prefix(8)) \(subject.containerID.prefix(12))"
        default: return subject.name
        }
    }

    private func cores(_ slot: Slot, _ metric: MetricID = .cpuUsage, unit: Bool = true) -> String {
        guard let rate = rate(slot, metric) else { return "-" }
        return "\((rate + 500_000) / 1_000_000)" + (unit ? "m" : "")
    }

    private func cpuLimit(_ slot: Slot) -> String {
        guard let quota = value(slot, .cpuCfsQuota), let period = value(slot, .cpuCfsPeriod),
            quota > 0, period > 0
        else { return "-" }
        return "\(quota * 1_000 / period)"
    }

    private func throttled(_ slot: Slot) -> String {
        guard let time = rate(slot, .cpuCfsThrottledPeriods),
            let periods = rate(slot, .cpuCfsPeriods), periods > 0
        else { return "-" }
        return "\(time * 100 / periods) %"
    }

    private func text(_ slot: Slot, _ metric: MetricID) -> String {
        guard let value = value(slot, metric), value >= 0 else { return "-" }
        return bytes(value)
    }

    private func bytes(_ value: Int64) -> String {
        let units = ["B", "Ki", "Mi", "Gi", "Ti", "Pi"]
        var amount = Double(value)
        var unit = 0
        while abs(amount) >= 1_024, unit < units.count - 1 {
            amount /= 1_024
            unit += 1
        }
        if unit == 0 { return "\(value)" }
        let tenths = Int64((amount * 10).rounded())
        return tenths >= 1_000
            ? "\((tenths + 5) / 10)\(units[unit])"
            : "\(tenths / 10).\(abs(tenths % 10))\(units[unit])"
    }

    private func thousandths(_ value: Int64) -> String {
        let hundredths = (value + 5) / 10
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    private func duration(_ milliseconds: Int64) -> String {
        let minutes = milliseconds / 60_000
        if minutes < 60 { return "\(minutes)m" }
        return minutes < 1_440
            ? "\(minutes / 60)h \(minutes % 60)m" : "\(minutes / 1_440)d \(minutes / 60 % 24)h"
    }
}

extension String {
    fileprivate func trimmingTrailingSpaces() -> String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
