import Wire

/// The node's metrics from `/proc/meminfo`, in kB there.
///
/// Source: <https://docs.kernel.org/filesystems/proc.html#meminfo>.
enum MemInfo {
    static let metrics = KeyedMetrics(
        [
            .init(.memoryTotal, "MemTotal:", scale: kB),
            .init(.memoryFree, "MemFree:", scale: kB),
            .init(.memoryInactiveFile, "Inactive(file):", scale: kB),
            .init(.memoryAvailable, "MemAvailable:", scale: kB),
            .init(.memoryBuffers, "Buffers:", scale: kB),
            .init(.memoryCache, "Cached:", scale: kB),
            .init(.memoryActiveAnon, "Active(anon):", scale: kB),
            .init(.memoryInactiveAnon, "Inactive(anon):", scale: kB),
            .init(.memoryActiveFile, "Active(file):", scale: kB),
            .init(.memoryUnevictable, "Unevictable:", scale: kB),
            .init(.memorySwapTotal, "SwapTotal:", scale: kB),
            .init(.memorySwapFree, "SwapFree:", scale: kB),
            .init(.memoryDirty, "Dirty:", scale: kB),
            .init(.memoryWriteback, "Writeback:", scale: kB),
            .init(.memoryRSS, "AnonPages:", scale: kB),
            .init(.memoryMappedFile, "Mapped:", scale: kB),
            .init(.memoryShmem, "Shmem:", scale: kB),
            .init(.memorySlabReclaimable, "SReclaimable:", scale: kB),
            .init(.memorySlabUnreclaimable, "SUnreclaim:", scale: kB),
            .init(.memoryKernelStack, "KernelStack:", scale: kB),
            .init(.memoryPageTables, "PageTables:", scale: kB),
            .init(.memoryCommitted, "Committed_AS:", scale: kB),
            .init(.memoryAnonHuge, "AnonHugePages:", scale: kB),
        ])

    /// Rows of the table that other values are computed from.
    enum Row {
        static let total = 0
        static let free = 1
        static let inactiveFile = 2
        static let swapTotal = 10
        static let swapFree = 11
    }

    static let kB: Int64 = 1_024
}
