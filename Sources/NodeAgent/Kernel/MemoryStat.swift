import Wire

/// The metrics of a cgroup's `memory.stat`. All but the page counts are bytes, whole pages for
/// what is counted in pages.
///
/// Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>,
/// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#stat-file>. A root's `memory.stat`
/// is never read: it takes seconds on some hosts.
enum MemoryStat {
    /// cgroup v1 with `memory.use_hierarchy` 1: the `total_` keys include all descendants, page
    /// faults among them, which cAdvisor reports without (0 for every pod).
    static let hierarchicalV1 = KeyedMetrics(
        [
            .init(.memoryRSS, "total_rss", granularity: page),
            .init(.memoryCache, "total_cache", granularity: page),
            .init(.memoryMappedFile, "total_mapped_file", granularity: page),
            .init(.memorySwap, "total_swap", granularity: page),
            .init(.memoryAnonHuge, "total_rss_huge", granularity: page),
            .init(.memoryShmem, "total_shmem", granularity: page),
            .init(.memoryDirty, "total_dirty", granularity: page),
            .init(.memoryWriteback, "total_writeback", granularity: page),
            .init(.memoryActiveAnon, "total_active_anon", granularity: page),
            .init(.memoryInactiveAnon, "total_inactive_anon", granularity: page),
            .init(.memoryActiveFile, "total_active_file", granularity: page),
            .init(.memoryInactiveFile, "total_inactive_file", granularity: page),
            .init(.memoryUnevictable, "total_unevictable", granularity: page),
            .init(.memoryPageFaults, "total_pgfault"),
            .init(.memoryMajorPageFaults, "total_pgmajfault"),
            .init(.memoryRefaultAnon, "total_workingset_refault_anon"),
            .init(.memoryRefaultFile, "total_workingset_refault_file"),
        ])

    /// cgroup v1 with `memory.use_hierarchy` 0 (kernels before 5.11): the cgroup alone.
    static let flatV1 = KeyedMetrics(
        [
            .init(.memoryRSS, "rss", granularity: page),
            .init(.memoryCache, "cache", granularity: page),
            .init(.memoryMappedFile, "mapped_file", granularity: page),
            .init(.memorySwap, "swap", granularity: page),
            .init(.memoryAnonHuge, "rss_huge", granularity: page),
            .init(.memoryShmem, "shmem", granularity: page),
            .init(.memoryDirty, "dirty", granularity: page),
            .init(.memoryWriteback, "writeback", granularity: page),
            .init(.memoryActiveAnon, "active_anon", granularity: page),
            .init(.memoryInactiveAnon, "inactive_anon", granularity: page),
            .init(.memoryActiveFile, "active_file", granularity: page),
            .init(.memoryInactiveFile, "inactive_file", granularity: page),
            .init(.memoryUnevictable, "unevictable", granularity: page),
            .init(.memoryPageFaults, "pgfault"),
            .init(.memoryMajorPageFaults, "pgmajfault"),
            .init(.memoryRefaultAnon, "workingset_refault_anon"),
            .init(.memoryRefaultFile, "workingset_refault_file"),
        ])

    /// cgroup v2: hierarchical by nature.
    static let v2 = KeyedMetrics(
        [
            .init(.memoryRSS, "anon", granularity: page),
            .init(.memoryCache, "file", granularity: page),
            .init(.memoryMappedFile, "file_mapped", granularity: page),
            .init(.memoryAnonHuge, "anon_thp", granularity: page),
            .init(.memoryShmem, "shmem", granularity: page),
            .init(.memoryDirty, "file_dirty", granularity: page),
            .init(.memoryWriteback, "file_writeback", granularity: page),
            .init(.memoryActiveAnon, "active_anon", granularity: page),
            .init(.memoryInactiveAnon, "inactive_anon", granularity: page),
            .init(.memoryActiveFile, "active_file", granularity: page),
            .init(.memoryInactiveFile, "inactive_file", granularity: page),
            .init(.memoryUnevictable, "unevictable", granularity: page),
            .init(.memoryKernel, "kernel", granularity: page),
            .init(.memoryKernelStack, "kernel_stack", granularity: 1_024),
            .init(.memoryPageTables, "pagetables", granularity: page),
            .init(.memorySockets, "sock", granularity: page),
            .init(.memorySlabReclaimable, "slab_reclaimable"),
            .init(.memorySlabUnreclaimable, "slab_unreclaimable"),
            .init(.memoryPageFaults, "pgfault"),
            .init(.memoryMajorPageFaults, "pgmajfault"),
            .init(.memoryPageScans, "pgscan"),
            .init(.memoryPageSteals, "pgsteal"),
            .init(.memoryRefaultAnon, "workingset_refault_anon"),
            .init(.memoryRefaultFile, "workingset_refault_file"),
        ])

    /// The row of inactive file memory in each table: working set is usage minus it.
    static let inactiveFileRowV1 = 11
    static let inactiveFileRowV2 = 10

    /// A unit of the codec, not a fact: values that are no multiple cost bytes, nothing else.
    private static let page: UInt32 = 4_096
}
