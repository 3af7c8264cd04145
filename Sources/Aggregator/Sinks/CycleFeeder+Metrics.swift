extension CycleFeeder {
    /// What sinks did not get, or not yet, for `/metrics`.
    func write(to text: inout PrometheusText) {
        text.family(
            "heapwire_sinks_missed_nodes_total", .counter,
            "Nodes that a sink came too late for in their cycle; they are handed on apart")
        text.sample("heapwire_sinks_missed_nodes_total", [], Double(source.missedNodes))
        text.family(
            "heapwire_sinks_lost_nodes_total", .counter,
            "Nodes of a cycle that no sink got: too many were missed, or the history had lost them")
        text.sample("heapwire_sinks_lost_nodes_total", [], Double(source.lostNodes))
        text.family(
            "heapwire_sinks_nodes_made_again_total", .counter,
            "Nodes of a cycle that were read once more for a sink that was far behind the others")
        text.sample("heapwire_sinks_nodes_made_again_total", [], Double(source.nodesMadeAgain))
        text.family(
            "heapwire_sinks_skipped_cycles_total", .counter,
            "Cycles that were handed on late because the thread that hands them on was kept busy")
        text.sample("heapwire_sinks_skipped_cycles_total", [], Double(skippedCycles))
        guard let progress else { return }
        text.family(
            "heapwire_sinks_cycle_timestamp_seconds", .gauge,
            "The newest cycle that is in the queues of all sinks")
        text.sample(
            "heapwire_sinks_cycle_timestamp_seconds", [], Double(progress.through) / 1_000)
        text.family(
            "heapwire_sinks_late_nodes", .gauge,
            "Nodes with cycles that came late and are not in the queues yet")
        text.sample("heapwire_sinks_late_nodes", [], Double(progress.late.count))
        text.family(
            "heapwire_sinks_absent_nodes", .gauge,
            "Nodes that a cycle of the window went without and that have not brought it since")
        text.sample("heapwire_sinks_absent_nodes", [], Double(progress.absent.count))
    }
}
