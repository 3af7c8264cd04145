import Wire

/// The node's metrics from `/proc/vmstat`: events since boot, in pages unless said.
///
/// Source: <https://docs.kernel.org/admin-guide/sysctl/vm.html> and mm/vmstat.c; `pgpgin` and
/// `pgpgout` are in KiB whatever their names say.
enum VMStat {
    static let metrics = KeyedMetrics(
        [
            .init(.memoryPagedIn, "pgpgin", scale: 1_024),
            .init(.memoryPagedOut, "pgpgout", scale: 1_024),
            .init(.memorySwapIn, "pswpin"),
            .init(.memorySwapOut, "pswpout"),
            .init(.memoryPageFaults, "pgfault"),
            .init(.memoryMajorPageFaults, "pgmajfault"),
            .init(.memoryOOMKills, "oom_kill"),
            .init(.memoryRefaultAnon, "workingset_refault_anon"),
            .init(.memoryRefaultFile, "workingset_refault_file"),
            .init(.memoryPageScans, "pgscan_anon"),
            .init(.memoryPageSteals, "pgsteal_anon"),
        ], otherKeys: ["pgscan_file", "pgsteal_file"])

    /// Scans and steals are printed for anonymous and file pages; the metric is their sum.
    enum Row {
        static let oomKills = 6
        static let scansOfAnon = 9
        static let stealsOfAnon = 10
        static let scansOfFile = 11
        static let stealsOfFile = 12
    }
}
