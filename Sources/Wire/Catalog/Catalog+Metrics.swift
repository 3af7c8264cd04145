extension Catalog {
    /// Every metric, in the order of its number.
    public static let metrics: [Metric] = [
        // Sampling itself.
        Metric(
            .readOffset, "sample/read_offset", .milliseconds, .gauge, .all,
            "When the subject was read, after the frame's own time"),
        // CPU.
        Metric(
            .cpuUsage, "cpu/usage", .nanoseconds, .counter, .nodeAndCgroups,
            "CPU time used, user and system"),
        Metric(
            .cpuUser, "cpu/user", .nanoseconds, .counter, .nodeAndCgroups,
            "CPU time used in user mode"),
        Metric(
            .cpuSystem, "cpu/system", .nanoseconds, .counter, .nodeAndCgroups,
            "CPU time used in kernel mode"),
        Metric(
            .cpuCfsPeriods, "cpu/cfs_periods", .none, .counter, .cgroups,
            "Enforcement periods of the CPU quota that have elapsed"),
        Metric(
            .cpuCfsThrottledPeriods, "cpu/cfs_throttled_periods", .none, .counter, .cgroups,
            "Periods in which the CPU quota was exhausted"),
        Metric(
            .cpuCfsThrottledTime, "cpu/cfs_throttled_time", .nanoseconds, .counter, .cgroups,
            "Time for which the cgroup was throttled"),
        Metric(
            .cpuCfsBurstPeriods, "cpu/cfs_burst_periods", .none, .counter, .cgroups,
            "Periods in which a burst above the CPU quota occurred"),
        Metric(
            .cpuCfsBurstTime, "cpu/cfs_burst_time", .nanoseconds, .counter, .cgroups,
            "CPU time used above the quota in bursts"),
        Metric(
            .cpuShares, "cpu/shares", .none, .gauge, .cgroups,
            "Relative CPU weight on the scale of cpu.shares"),
        Metric(
            .cpuCfsQuota, "cpu/cfs_quota", .nanoseconds, .gauge, .cgroups,
            "CPU time allowed per period, -1 for no limit"),
        Metric(
            .cpuCfsPeriod, "cpu/cfs_period", .nanoseconds, .gauge, .cgroups,
            "Length of the CPU quota's period"),
        Metric(
            .cpuSetCores, "cpu/cpuset_cores", .none, .gauge, .cgroups,
            "CPUs that the cgroup may run on"),
        Metric(
            .cpuLoad, "cpu/load", .milli, .gauge, .nodeAndCgroups,
            "Runnable tasks, in thousandths"),
        Metric(
            .cpuNice, "cpu/nice", .nanoseconds, .counter, .node,
            "CPU time in niced user mode"),
        Metric(
            .cpuIdle, "cpu/idle", .nanoseconds, .counter, .node,
            "CPU time idle"),
        Metric(
            .cpuIOWait, "cpu/iowait", .nanoseconds, .counter, .node,
            "CPU time idle with I/O outstanding"),
        Metric(
            .cpuIRQ, "cpu/irq", .nanoseconds, .counter, .node,
            "CPU time in hardware interrupts"),
        Metric(
            .cpuSoftIRQ, "cpu/softirq", .nanoseconds, .counter, .node,
            "CPU time in software interrupts"),
        Metric(
            .cpuSteal, "cpu/steal", .nanoseconds, .counter, .node,
            "CPU time taken by the hypervisor for others"),
        Metric(
            .cpuGuest, "cpu/guest", .nanoseconds, .counter, .node,
            "CPU time running guests, contained in user"),
        Metric(
            .cpuGuestNice, "cpu/guest_nice", .nanoseconds, .counter, .node,
            "CPU time running niced guests, contained in nice"),
        Metric(
            .load1, "load/1m", .milli, .gauge, .node,
            "Load average over one minute, in thousandths"),
        Metric(
            .load5, "load/5m", .milli, .gauge, .node,
            "Load average over five minutes, in thousandths"),
        Metric(
            .load15, "load/15m", .milli, .gauge, .node,
            "Load average over fifteen minutes, in thousandths"),
        Metric(
            .contextSwitches, "cpu/context_switches", .none, .counter, .node,
            "Context switches"),
        Metric(
            .interrupts, "cpu/interrupts", .none, .counter, .node,
            "Interrupts served"),
        // Memory.
        Metric(
            .memoryUsage, "memory/usage", .bytes, .gauge, .nodeAndCgroups,
            "Memory in use, page cache included"),
        Metric(
            .memoryWorkingSet, "memory/working_set", .bytes, .gauge, .nodeAndCgroups,
            "Memory in use less inactive page cache"),
        Metric(
            .memoryRSS, "memory/rss", .bytes, .gauge, .nodeAndCgroups,
            "Anonymous memory, swap cache included"),
        Metric(
            .memoryCache, "memory/cache", .bytes, .gauge, .nodeAndCgroups,
            "Page cache"),
        Metric(
            .memoryMappedFile, "memory/mapped_file", .bytes, .gauge, .nodeAndCgroups,
            "Page cache that is mapped"),
        Metric(
            .memorySwap, "memory/swap", .bytes, .gauge, .nodeAndCgroups,
            "Swap in use"),
        Metric(
            .memoryKernel, "memory/kernel", .bytes, .gauge, .nodeAndCgroups,
            "Kernel memory"),
        Metric(
            .memoryActiveAnon, "memory/active_anon", .bytes, .gauge, .nodeAndCgroups,
            "Anonymous memory used recently"),
        Metric(
            .memoryInactiveAnon, "memory/inactive_anon", .bytes, .gauge, .nodeAndCgroups,
            "Anonymous memory not used recently"),
        Metric(
            .memoryActiveFile, "memory/active_file", .bytes, .gauge, .nodeAndCgroups,
            "Page cache used recently"),
        Metric(
            .memoryInactiveFile, "memory/inactive_file", .bytes, .gauge, .nodeAndCgroups,
            "Page cache that the kernel reclaims first"),
        Metric(
            .memoryUnevictable, "memory/unevictable", .bytes, .gauge, .nodeAndCgroups,
            "Memory that cannot be reclaimed"),
        Metric(
            .memorySlabReclaimable, "memory/slab_reclaimable", .bytes, .gauge, .nodeAndCgroups,
            "Slab memory that can be reclaimed"),
        Metric(
            .memorySlabUnreclaimable, "memory/slab_unreclaimable", .bytes, .gauge, .nodeAndCgroups,
            "Slab memory that cannot be reclaimed"),
        Metric(
            .memoryMaxUsage, "memory/max_usage", .bytes, .gauge, .cgroups,
            "Highest memory usage seen by the kernel"),
        Metric(
            .memoryFailcnt, "memory/failcnt", .none, .counter, .cgroups,
            "Times that the memory limit was hit"),
        Metric(
            .memoryDirty, "memory/dirty", .bytes, .gauge, .nodeAndCgroups,
            "Page cache waiting to be written"),
        Metric(
            .memoryWriteback, "memory/writeback", .bytes, .gauge, .nodeAndCgroups,
            "Page cache being written"),
        Metric(
            .memoryPageFaults, "memory/page_faults", .none, .counter, .nodeAndCgroups,
            "Page faults"),
        Metric(
            .memoryMajorPageFaults, "memory/major_page_faults", .none, .counter, .nodeAndCgroups,
            "Page faults that needed I/O"),
        Metric(
            .memoryCgroupLimit, "memory/cgroup_limit", .bytes, .gauge, .cgroups,
            "Memory limit of the cgroup, -1 for none"),
        Metric(
            .memorySwapLimit, "memory/swap_limit", .bytes, .gauge, .cgroups,
            "Swap limit of the cgroup, -1 for none"),
        Metric(
            .memoryReservation, "memory/cgroup_reservation", .bytes, .gauge, .cgroups,
            "Memory protected or softly limited"),
        Metric(
            .memoryEventsHigh, "memory/events_high", .none, .counter, .cgroups,
            "Times throttled at memory.high"),
        Metric(
            .memoryEventsMax, "memory/events_max", .none, .counter, .cgroups,
            "Times that memory.max was about to be exceeded"),
        Metric(
            .memoryOOMKills, "memory/oom_kills", .none, .counter, .nodeAndCgroups,
            "Processes killed for lack of memory"),
        Metric(
            .memoryShmem, "memory/shmem", .bytes, .gauge, .nodeAndCgroups,
            "Shared memory and tmpfs"),
        Metric(
            .memoryRefaultFile, "memory/workingset_refault_file", .none, .counter, .nodeAndCgroups,
            "Page cache pages read again soon after eviction"),
        Metric(
            .memoryRefaultAnon, "memory/workingset_refault_anon", .none, .counter, .nodeAndCgroups,
            "Anonymous pages read again soon after eviction"),
        Metric(
            .memoryPageScans, "memory/page_scans", .none, .counter, .nodeAndCgroups,
            "Pages scanned by reclaim"),
        Metric(
            .memoryPageSteals, "memory/page_steals", .none, .counter, .nodeAndCgroups,
            "Pages reclaimed"),
        Metric(
            .memoryPageTables, "memory/page_tables", .bytes, .gauge, .nodeAndCgroups,
            "Page tables"),
        Metric(
            .memoryKernelStack, "memory/kernel_stack", .bytes, .gauge, .nodeAndCgroups,
            "Kernel stacks"),
        Metric(
            .memorySockets, "memory/sockets", .bytes, .gauge, .nodeAndCgroups,
            "Socket buffers"),
        Metric(
            .memoryTotal, "memory/total", .bytes, .gauge, .node,
            "Memory of the machine"),
        Metric(
            .memoryFree, "memory/free", .bytes, .gauge, .node,
            "Memory that nothing uses"),
        Metric(
            .memoryAvailable, "memory/available", .bytes, .gauge, .node,
            "Memory that can be had without swapping, the kernel's estimate"),
        Metric(
            .memoryBuffers, "memory/buffers", .bytes, .gauge, .node,
            "Block device cache"),
        Metric(
            .memorySwapTotal, "memory/swap_total", .bytes, .gauge, .node,
            "Swap of the machine"),
        Metric(
            .memorySwapFree, "memory/swap_free", .bytes, .gauge, .node,
            "Swap not in use"),
        Metric(
            .memoryCommitted, "memory/committed", .bytes, .gauge, .node,
            "Memory promised to processes"),
        Metric(
            .memoryPagedIn, "memory/paged_in", .bytes, .counter, .node,
            "Bytes read from block devices into memory"),
        Metric(
            .memoryPagedOut, "memory/paged_out", .bytes, .counter, .node,
            "Bytes written from memory to block devices"),
        Metric(
            .memorySwapIn, "memory/swapped_in", .none, .counter, .node,
            "Pages swapped in"),
        Metric(
            .memorySwapOut, "memory/swapped_out", .none, .counter, .node,
            "Pages swapped out"),
        Metric(
            .memoryAnonHuge, "memory/anon_huge", .bytes, .gauge, .nodeAndCgroups,
            "Anonymous transparent huge pages"),
        // Pressure stall information.
        Metric(
            .pressureCPUSome, "pressure/cpu_some", .nanoseconds, .counter, .nodeAndCgroups,
            "Time in which some task waited for a CPU"),
        Metric(
            .pressureCPUFull, "pressure/cpu_full", .nanoseconds, .counter, .nodeAndCgroups,
            "Time in which every task waited for a CPU"),
        Metric(
            .pressureMemorySome, "pressure/memory_some", .nanoseconds, .counter, .nodeAndCgroups,
            "Time in which some task waited for memory"),
        Metric(
            .pressureMemoryFull, "pressure/memory_full", .nanoseconds, .counter, .nodeAndCgroups,
            "Time in which every task waited for memory"),
        Metric(
            .pressureIOSome, "pressure/io_some", .nanoseconds, .counter, .nodeAndCgroups,
            "Time in which some task waited for I/O"),
        Metric(
            .pressureIOFull, "pressure/io_full", .nanoseconds, .counter, .nodeAndCgroups,
            "Time in which every task waited for I/O"),
        // Processes.
        Metric(
            .processThreads, "process/threads", .none, .gauge, .nodeAndCgroups,
            "Threads (pids.current)"),
        Metric(
            .processThreadsLimit, "process/threads_limit", .none, .gauge, .cgroups,
            "Limit on threads, -1 for none"),
        Metric(
            .processCount, "process/count", .none, .gauge, .nodeAndCgroups,
            "Processes"),
        Metric(
            .processesRunning, "process/running", .none, .gauge, .node,
            "Runnable tasks"),
        Metric(
            .processesBlocked, "process/blocked", .none, .gauge, .node,
            "Tasks waiting for I/O"),
        Metric(
            .processForks, "process/forks", .none, .counter, .node,
            "Processes and threads created"),
        Metric(
            .fileHandles, "file_handles/allocated", .none, .gauge, .node,
            "Open file handles"),
        Metric(
            .fileHandlesLimit, "file_handles/limit", .none, .gauge, .node,
            "Limit on open file handles"),
        Metric(
            .uptime, "uptime", .milliseconds, .counter, .nodeAndCgroups,
            "Time since the start"),
        // Block I/O.
        Metric(
            .diskReadBytes, "disk/io_read_bytes", .bytes, .counter, .blockDevice,
            "Bytes read"),
        Metric(
            .diskWriteBytes, "disk/io_write_bytes", .bytes, .counter, .blockDevice,
            "Bytes written"),
        Metric(
            .diskReads, "disk/io_reads", .none, .counter, .blockDevice,
            "Read operations"),
        Metric(
            .diskWrites, "disk/io_writes", .none, .counter, .blockDevice,
            "Write operations"),
        Metric(
            .diskDiscardBytes, "disk/io_discard_bytes", .bytes, .counter, .blockDevice,
            "Bytes discarded"),
        Metric(
            .diskDiscards, "disk/io_discards", .none, .counter, .blockDevice,
            "Discard operations"),
        Metric(
            .diskReadsMerged, "disk/io_reads_merged", .none, .counter, .blockDevice,
            "Read operations merged"),
        Metric(
            .diskWritesMerged, "disk/io_writes_merged", .none, .counter, .blockDevice,
            "Write operations merged"),
        Metric(
            .diskReadTime, "disk/io_read_time", .milliseconds, .counter, .blockDevice,
            "Time spent on reads"),
        Metric(
            .diskWriteTime, "disk/io_write_time", .milliseconds, .counter, .blockDevice,
            "Time spent on writes"),
        Metric(
            .diskInFlight, "disk/io_in_flight", .none, .gauge, .blockDevice,
            "Operations in progress"),
        Metric(
            .diskIOTime, "disk/io_time", .milliseconds, .counter, .blockDevice,
            "Time in which the device was busy"),
        Metric(
            .diskIOTimeWeighted, "disk/io_time_weighted", .milliseconds, .counter, .blockDevice,
            "Time spent on operations, summed over them"),
        // Network.
        Metric(
            .networkReceiveBytes, "network/rx", .bytes, .counter, [.node, .pod, .networkInterface],
            "Bytes received"),
        Metric(
            .networkReceivePackets, "network/rx_packets", .none, .counter,
            [.node, .pod, .networkInterface],
            "Packets received"),
        Metric(
            .networkReceiveErrors, "network/rx_errors", .none, .counter,
            [.node, .pod, .networkInterface],
            "Errors on packets received"),
        Metric(
            .networkReceiveDropped, "network/rx_dropped", .none, .counter,
            [.node, .pod, .networkInterface],
            "Packets dropped that were to be received"),
        Metric(
            .networkTransmitBytes, "network/tx", .bytes, .counter,
            [.node, .pod, .networkInterface],
            "Bytes sent"),
        Metric(
            .networkTransmitPackets, "network/tx_packets", .none, .counter,
            [.node, .pod, .networkInterface],
            "Packets sent"),
        Metric(
            .networkTransmitErrors, "network/tx_errors", .none, .counter,
            [.node, .pod, .networkInterface],
            "Errors on packets sent"),
        Metric(
            .networkTransmitDropped, "network/tx_dropped", .none, .counter,
            [.node, .pod, .networkInterface],
            "Packets dropped that were to be sent"),
        Metric(
            .socketsUsed, "sockets/used", .none, .gauge, .node,
            "Sockets of every kind"),
        Metric(
            .tcpInUse, "sockets/tcp_in_use", .none, .gauge, .node,
            "TCP sockets in use"),
        Metric(
            .tcpOrphan, "sockets/tcp_orphan", .none, .gauge, .node,
            "TCP sockets without a process"),
        Metric(
            .tcpTimeWait, "sockets/tcp_time_wait", .none, .gauge, .node,
            "TCP sockets in TIME_WAIT"),
        Metric(
            .tcpAllocated, "sockets/tcp_allocated", .none, .gauge, .node,
            "TCP sockets allocated"),
        Metric(
            .tcpMemory, "sockets/tcp_memory", .bytes, .gauge, .node,
            "Memory of TCP sockets"),
        Metric(
            .udpInUse, "sockets/udp_in_use", .none, .gauge, .node,
            "UDP sockets in use"),
        Metric(
            .udpMemory, "sockets/udp_memory", .bytes, .gauge, .node,
            "Memory of UDP sockets"),
        Metric(
            .tcp6InUse, "sockets/tcp6_in_use", .none, .gauge, .node,
            "TCP sockets over IPv6 in use"),
        Metric(
            .udp6InUse, "sockets/udp6_in_use", .none, .gauge, .node,
            "UDP sockets over IPv6 in use"),
        // Filesystems.
        Metric(
            .filesystemUsage, "filesystem/usage", .bytes, .gauge, .filesystem,
            "Bytes used"),
        Metric(
            .filesystemLimit, "filesystem/limit", .bytes, .gauge, .filesystem,
            "Size of the filesystem"),
        Metric(
            .filesystemAvailable, "filesystem/available", .bytes, .gauge, .filesystem,
            "Bytes that an unprivileged user can still write"),
        Metric(
            .filesystemInodes, "filesystem/inodes", .none, .gauge, .filesystem,
            "Inodes of the filesystem"),
        Metric(
            .filesystemInodesFree, "filesystem/inodes_free", .none, .gauge, .filesystem,
            "Inodes not in use"),
        Metric(
            .ephemeralStorageUsage, "ephemeral_storage/usage", .bytes, .gauge, .nodeAndCgroups,
            "Local storage used by the writable layer, logs and emptyDir volumes"),
        // Huge pages and accelerators.
        Metric(
            .hugePagesUsage, "hugetlb/usage", .bytes, .gauge, .hugePages,
            "Huge pages in use"),
        Metric(
            .hugePagesMaxUsage, "hugetlb/max_usage", .bytes, .gauge, .hugePages,
            "Most huge pages ever in use"),
        Metric(
            .hugePagesFailcnt, "hugetlb/failcnt", .none, .counter, .hugePages,
            "Times that the huge page limit was hit"),
        Metric(
            .hugePagesLimit, "hugetlb/limit", .bytes, .gauge, .hugePages,
            "Limit on huge pages, -1 for none"),
        Metric(
            .acceleratorMemoryTotal, "accelerator/memory_total", .bytes, .gauge, .accelerator,
            "Memory of the accelerator"),
        Metric(
            .acceleratorMemoryUsed, "accelerator/memory_used", .bytes, .gauge, .accelerator,
            "Memory of the accelerator in use"),
        Metric(
            .acceleratorDutyCycle, "accelerator/duty_cycle", .percent, .gauge, .accelerator,
            "Time in which the accelerator was busy"),
        // The agent itself.
        Metric(
            .agentCPU, "agent/cpu_usage", .nanoseconds, .counter, .agent,
            "CPU time used by the agent"),
        Metric(
            .agentRSS, "agent/memory_rss", .bytes, .gauge, .agent,
            "Resident memory of the agent"),
        Metric(
            .agentReadErrors, "agent/read_errors", .none, .counter, .agent,
            "Kernel files that could not be read, absence not counted"),
        Metric(
            .agentStepsSkipped, "agent/steps_skipped", .none, .counter, .agent,
            "Steps not sampled because an earlier one ran late"),
        Metric(
            .agentRingBytes, "agent/ring_bytes", .bytes, .gauge, .agent,
            "Frames kept until they are acknowledged"),
        Metric(
            .agentRingFrames, "agent/ring_frames", .none, .gauge, .agent,
            "Number of frames kept until they are acknowledged"),
        Metric(
            .agentRingDropped, "agent/ring_frames_dropped", .none, .counter, .agent,
            "Frames that left the ring unacknowledged"),
        Metric(
            .agentSampleTime, "agent/sample_time", .nanoseconds, .gauge, .agent,
            "Time that reading this frame took"),
        Metric(
            .agentOpenFiles, "agent/open_files", .none, .gauge, .agent,
            "Kernel files kept open"),
        Metric(
            .agentSubjects, "agent/subjects", .none, .gauge, .agent,
            "Subjects watched"),
        Metric(
            .agentSlowFiles, "agent/slow_files", .none, .gauge, .agent,
            "Kernel files read less often than asked for, because reading them takes long"),
        Metric(
            .agentReadsSkipped, "agent/reads_skipped", .none, .counter, .agent,
            "Readings of slow kernel files that were left out"),
        Metric(
            .agentSpoolDropped, "agent/spool_frames_dropped", .none, .counter, .agent,
            "Frames that the disk of --spool-dir did not take"),
        // Rates, computed by the aggregator.
        Metric(
            .cpuUsageRate, "cpu/usage_rate", .millicores, .gauge, .nodeAndCgroups,
            "CPU usage, in thousandths of a core", origin: .rate),
        Metric(
            .memoryPageFaultsRate, "memory/page_faults_rate", .perSecond, .gauge, .nodeAndCgroups,
            "Page faults per second", origin: .rate),
        Metric(
            .memoryMajorPageFaultsRate, "memory/major_page_faults_rate", .perSecond, .gauge,
            .nodeAndCgroups,
            "Major page faults per second", origin: .rate),
        Metric(
            .networkReceiveRate, "network/rx_rate", .perSecond, .gauge,
            [.node, .pod, .networkInterface],
            "Bytes received per second", origin: .rate),
        Metric(
            .networkReceiveErrorsRate, "network/rx_errors_rate", .perSecond, .gauge,
            [.node, .pod, .networkInterface],
            "Receive errors per second", origin: .rate),
        Metric(
            .networkTransmitRate, "network/tx_rate", .perSecond, .gauge,
            [.node, .pod, .networkInterface],
            "Bytes sent per second", origin: .rate),
        Metric(
            .networkTransmitErrorsRate, "network/tx_errors_rate", .perSecond, .gauge,
            [.node, .pod, .networkInterface],
            "Transmit errors per second", origin: .rate),
        Metric(
            .diskReadBytesRate, "disk/io_read_bytes_rate", .perSecond, .gauge, .blockDevice,
            "Bytes read per second", origin: .rate),
        Metric(
            .diskWriteBytesRate, "disk/io_write_bytes_rate", .perSecond, .gauge, .blockDevice,
            "Bytes written per second", origin: .rate),
        // From the API server.
        Metric(
            .cpuRequest, "cpu/request", .millicores, .gauge, [.node, .pod, .container],
            "CPU requested", origin: .cluster),
        Metric(
            .cpuLimit, "cpu/limit", .millicores, .gauge, [.node, .pod, .container],
            "CPU limit", origin: .cluster),
        Metric(
            .memoryRequest, "memory/request", .bytes, .gauge, [.node, .pod, .container],
            "Memory requested", origin: .cluster),
        Metric(
            .memoryLimit, "memory/limit", .bytes, .gauge, [.node, .pod, .container],
            "Memory limit", origin: .cluster),
        Metric(
            .ephemeralStorageRequest, "ephemeral_storage/request", .bytes, .gauge,
            [.node, .pod, .container],
            "Local storage requested", origin: .cluster),
        Metric(
            .ephemeralStorageLimit, "ephemeral_storage/limit", .bytes, .gauge,
            [.node, .pod, .container],
            "Local storage limit", origin: .cluster),
        Metric(
            .restartCount, "restart_count", .none, .gauge, [.pod, .container],
            "Container restarts", origin: .cluster),
        Metric(
            .cpuNodeCapacity, "cpu/node_capacity", .millicores, .gauge, .node,
            "CPU capacity of the node", origin: .cluster),
        Metric(
            .cpuNodeAllocatable, "cpu/node_allocatable", .millicores, .gauge, .node,
            "CPU of the node that pods can have", origin: .cluster),
        Metric(
            .cpuNodeUtilization, "cpu/node_utilization", .ratio, .gauge, .node,
            "CPU used, as a share of the allocatable", origin: .cluster),
        Metric(
            .cpuNodeReservation, "cpu/node_reservation", .ratio, .gauge, .node,
            "CPU requested, as a share of the allocatable", origin: .cluster),
        Metric(
            .memoryNodeCapacity, "memory/node_capacity", .bytes, .gauge, .node,
            "Memory capacity of the node", origin: .cluster),
        Metric(
            .memoryNodeAllocatable, "memory/node_allocatable", .bytes, .gauge, .node,
            "Memory of the node that pods can have", origin: .cluster),
        Metric(
            .memoryNodeUtilization, "memory/node_utilization", .ratio, .gauge, .node,
            "Memory used, as a share of the allocatable", origin: .cluster),
        Metric(
            .memoryNodeReservation, "memory/node_reservation", .ratio, .gauge, .node,
            "Memory requested, as a share of the allocatable", origin: .cluster),
        Metric(
            .ephemeralStorageNodeCapacity, "ephemeral_storage/node_capacity", .bytes, .gauge, .node,
            "Local storage capacity of the node", origin: .cluster),
        Metric(
            .ephemeralStorageNodeAllocatable, "ephemeral_storage/node_allocatable", .bytes, .gauge,
            .node,
            "Local storage of the node that pods can have", origin: .cluster),
        Metric(
            .ephemeralStorageNodeUtilization, "ephemeral_storage/node_utilization", .ratio, .gauge,
            .node,
            "Local storage used, as a share of the allocatable", origin: .cluster),
        Metric(
            .ephemeralStorageNodeReservation, "ephemeral_storage/node_reservation", .ratio, .gauge,
            .node,
            "Local storage requested, as a share of the allocatable", origin: .cluster),
    ]
}
