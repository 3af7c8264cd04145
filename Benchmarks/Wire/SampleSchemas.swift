import Wire

/// A subject of a recording as an agent would send it: the catalogue's units, granularities as the
/// kernel has them, and the sums that hold between columns.
struct SampleSubject {
    let name: String
    let schema: Schema
    /// By step, then by column.
    let rows: [[Int64]]
    /// The same in the recording's own units.
    let raw: [[Int64]]

    /// The terms of every column's prediction, none where it has none.
    var sums: [[Prediction.Term]] {
        var sums = [[Prediction.Term]](repeating: [], count: schema.fields.count)
        for prediction in schema.predictions {
            if case .sum(let terms) = prediction.source { sums[prediction.column] = terms }
        }
        return sums
    }

    /// Without the first steps.
    func from(step: Int) -> SampleSubject {
        SampleSubject(
            name: name, schema: schema, rows: Array(rows[step...]), raw: Array(raw[step...]))
    }

    /// The same values with another schema.
    func with(_ schema: Schema) -> SampleSubject {
        SampleSubject(name: name, schema: schema, rows: rows, raw: raw)
    }
}

/// How the columns of `samples/` become schemas. Columns that are not known here get no prediction.
enum SampleSchemas {
    /// A column's unit in the recording, as a factor to the catalogue's, and its granularity there.
    private static func unit(of metric: String, values: [Int64]) -> (factor: Int64, UInt32) {
        if metric.hasSuffix("_ticks") { return (10_000_000, 10_000_000) }
        if metric.hasPrefix("cpu"), !metric.hasSuffix("_ns") { return (10_000_000, 10_000_000) }
        if metric.hasSuffix("_us") { return (1_000, 1_000) }
        if metric.hasSuffix("_x100") { return (10, 10) }
        if metric.hasSuffix("_sectors") { return (512, 512) }
        if metric.hasPrefix("meminfo_") {
            return (1_024, values.allSatisfy { $0 % 4 == 0 } ? 4_096 : 1_024)
        }
        let isPages = values.contains { $0 != 0 } && values.allSatisfy { $0 % 4_096 == 0 }
        return (1, metric.hasPrefix("mem_") && isPages ? 4_096 : 1)
    }

    /// Gauges by name; all else counts.
    private static func isCounter(_ metric: String) -> Bool {
        let gauges = [
            "mem_usage", "mem_kmem_usage", "pids", "procs_running", "procs_blocked",
            "vmstat_nr_dirty", "vmstat_nr_writeback", "disk_vda_inflight", "cpu_load",
        ]
        if gauges.contains(metric) { return false }
        if metric.hasPrefix("mem_total_") {
            return metric.hasPrefix("mem_total_pg") || metric.contains("refault")
        }
        return !metric.hasPrefix("meminfo_") && !metric.hasPrefix("load")
    }

    /// Sums over columns, the predicted one first: `total = part + part - other`.
    private static let sums = [
        "cpu_percpu1_ns = cpu_usage_ns - cpu_percpu0_ns",
        "mem_usage = mem_total_cache + mem_total_rss + mem_kmem_usage",
        "mem_total_pgpgin = mem_total_cache + mem_total_rss + mem_total_pgpgout",
        "mem_total_pgfault = mem_total_rss",
        "mem_total_inactive_anon = mem_total_rss - mem_total_active_anon",
        "mem_total_inactive_file = mem_total_cache - mem_total_active_file",
        "cpu1_user = cpu_user - cpu0_user",
        "cpu1_nice = cpu_nice - cpu0_nice",
        "cpu1_system = cpu_system - cpu0_system",
        "cpu1_idle = cpu_idle - cpu0_idle",
        "cpu1_iowait = cpu_iowait - cpu0_iowait",
        "cpu1_softirq = cpu_softirq - cpu0_softirq",
        "cpu1_steal = cpu_steal - cpu0_steal",
        "meminfo_MemAvailable = meminfo_MemFree + meminfo_Active(file) + meminfo_Inactive(file)"
            + " + meminfo_KReclaimable",
        "meminfo_Cached = meminfo_Active(file) + meminfo_Inactive(file) - meminfo_Buffers",
        "meminfo_Active = meminfo_Active(file) + meminfo_Active(anon)",
        "meminfo_Inactive = meminfo_Inactive(file) + meminfo_Inactive(anon)",
        "meminfo_AnonPages = meminfo_Active(anon) + meminfo_Inactive(anon)",
        "meminfo_Slab = meminfo_SReclaimable + meminfo_SUnreclaim",
        "meminfo_KReclaimable = meminfo_SReclaimable",
        "meminfo_Committed_AS = meminfo_AnonPages",
        "meminfo_Mlocked = meminfo_Unevictable",
        "vmstat_nr_dirty = meminfo_Dirty",
        "vmstat_nr_writeback = meminfo_Writeback",
        "vmstat_pgfault = vmstat_pgalloc_normal",
        "vmstat_pgfree = vmstat_pgalloc_normal",
        "disk_vda_r_sectors = 2 vmstat_pgpgin",
        "disk_vda_w_sectors = 2 vmstat_pgpgout",
        "disk_vda_wio_ms = disk_vda_r_ms + disk_vda_w_ms",
        "net_lo_tx_bytes = net_lo_rx_bytes",
        "net_lo_tx_packets = net_lo_rx_packets",
    ]

    /// A column and the one that it is often all of.
    private static let parts = [("cpu_percpu0_ns", "cpu_usage_ns")]

    /// Every subject of the recording, every `stride`-th step; the node first, as the agent has it.
    static func subjects(of file: SampleFile, stride: Int) -> [SampleSubject] {
        let sorted =
            file.subjects.filter { $0.name == "node" } + file.subjects.filter { $0.name != "node" }
        return sorted.map { subject in
            let order = order(of: subject.metrics)
            let units = order.map { unit(of: subject.metrics[$0], values: subject.values[$0]) }
            let fields = zip(order, units).map { column, unit in
                SchemaField(
                    metric: UInt16(40_000 + column), granularity: unit.1,
                    isCounter: isCounter(subject.metrics[column]))
            }
            let steps = Swift.stride(from: 0, to: file.stepCount, by: stride)
            let rows = steps.map { step in
                zip(order, units).map { subject.values[$0][step] * $1.factor }
            }
            let names = order.map { subject.metrics[$0] }
            return SampleSubject(
                name: subject.name, schema: Schema(fields, predictions: predictions(names)),
                rows: rows, raw: steps.map { step in order.map { subject.values[$0][step] } })
        }
    }

    /// The file's order, but every predicted column after the columns that it is predicted from.
    private static func order(of metrics: [String]) -> [Int] {
        var sources: [String: [String]] = [:]
        for sum in sums {
            let words = sum.split(separator: " ").map(String.init)
            sources[words[0]] = words.dropFirst(2).filter { metrics.contains($0) }
        }
        for (part, whole) in parts where metrics.contains(whole) { sources[part] = [whole] }
        var order: [Int] = []
        var placed: Set<String> = []
        while order.count < metrics.count {
            for (column, metric) in metrics.enumerated() where !placed.contains(metric) {
                guard (sources[metric] ?? []).allSatisfy(placed.contains) else { continue }
                placed.insert(metric)
                order.append(column)
            }
        }
        return order
    }

    private static func predictions(_ names: [String]) -> [Prediction] {
        var predictions: [Int: Prediction] = [:]
        for (part, whole) in parts {
            guard let column = names.firstIndex(of: part),
                let source = names.firstIndex(of: whole), source < column
            else { continue }
            predictions[column] = Prediction(column: column, .part(of: source))
        }
        for sum in sums {
            let words = sum.split(separator: " ").map(String.init)
            guard let column = names.firstIndex(of: words[0]) else { continue }
            var terms: [Prediction.Term] = []
            var weight: Int32 = 1
            for word in words.dropFirst(2) {
                if word == "+" || word == "-" {
                    weight = word == "+" ? 1 : -1
                } else if let factor = Int32(word) {
                    weight *= factor
                } else if let source = names.firstIndex(of: word) {
                    terms.append(Prediction.Term(column: source, weight: weight))
                }
            }
            guard !terms.isEmpty else { continue }
            predictions[column] = Prediction(column: column, .sum(terms))
        }
        return predictions.values.sorted { $0.column < $1.column }
    }
}
