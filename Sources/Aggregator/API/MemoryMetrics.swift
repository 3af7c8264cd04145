import Wire

extension MemoryKeeper {
    /// What the limit has cost so far, for `/metrics`.
    func write(to text: inout PrometheusText, _ gate: MemoryGate) {
        let status = current
        text.single(
            "heapwire_memory_limit_bytes", .gauge,
            "Memory that the aggregator may use (--memory-limit)", Double(limit.byteCount))
        let window = "heapwire_history_window_seconds"
        text.family(
            window, .gauge, "History that nodes keep, less than --history when memory is short")
        for (value, milliseconds) in [("yes", status.askedWindow), ("no", status.unaskedWindow)] {
            text.sample(window, [("asked", value)], Double(milliseconds) / 1_000)
        }
        text.single(
            "heapwire_history_shortened_bytes_total", .counter,
            "Bytes of history given up because memory was short", Double(status.freedBytes))
        text.single(
            "heapwire_histories_dropped_total", .counter,
            "Nodes' histories dropped whole because memory was short",
            Double(status.droppedHistories))
        text.single(
            "heapwire_memory_gate", .gauge,
            "0: everything is taken; 1: no more subjects of the largest node; 2: nothing more",
            Double(gate.level.rawValue))
        let refusals = "heapwire_memory_refusals_total"
        text.family(
            refusals, .counter, "Connections ended because memory was short, by what was more")
        text.sample(refusals, [("reason", "subjects")], Double(gate.refusals.subjects))
        text.sample(refusals, [("reason", "node")], Double(gate.refusals.nodes))
    }
}
