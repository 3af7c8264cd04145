import Wire

/// What cAdvisor exposes in a kubelet's `/metrics/cadvisor`, under its names
/// (`metrics/prometheus.go` and `prometheus_machine.go` of google/cadvisor), as far as the agent reads
/// it; in the order of the names.
enum CadvisorFamilies {
    static let all: [SeriesFamily] = (processor + memory + storage + network + others + machine)
        .sorted { $0.name < $1.name }

    private static func family(
        _ name: String, _ kind: ExpositionWriter.Kind, _ help: String,
        _ source: SeriesFamily.Source, _ targets: SeriesFamily.Targets = .all,
        fixed: [SeriesFamily.Fixed] = []
    ) -> SeriesFamily {
        SeriesFamily(
            name: name, kind: kind, help: help, source: source, targets: targets, fixed: fixed)
    }

    private static let processor: [SeriesFamily] = [
        family(
            "container_cpu_usage_seconds_total", .counter,
            "Cumulative cpu time consumed in seconds.", .metric(.cpuUsage, .nanoseconds),
            fixed: [.init(name: "cpu", value: "total")]),
        family(
            "container_cpu_user_seconds_total", .counter,
            "Cumulative user cpu time consumed in seconds.", .metric(.cpuUser, .nanoseconds)),
        family(
            "container_cpu_system_seconds_total", .counter,
            "Cumulative system cpu time consumed in seconds.", .metric(.cpuSystem, .nanoseconds)),
        family(
            "container_cpu_cfs_periods_total", .counter,
            "Number of elapsed enforcement period intervals.", .metric(.cpuCfsPeriods, .none)),
        family(
            "container_cpu_cfs_throttled_periods_total", .counter,
            "Number of throttled period intervals.", .metric(.cpuCfsThrottledPeriods, .none)),
        family(
            "container_cpu_cfs_throttled_seconds_total", .counter,
            "Total time duration the container has been throttled.",
            .metric(.cpuCfsThrottledTime, .nanoseconds)),
        family(
            "container_cpu_cfs_burst_periods_total", .counter,
            "Number of period intervals with a burst above the quota.",
            .metric(.cpuCfsBurstPeriods, .none)),
        family(
            "container_cpu_cfs_burst_seconds_total", .counter,
            "Total time duration the container used above its quota.",
            .metric(.cpuCfsBurstTime, .nanoseconds)),
        family(
            "container_cpu_load_average_10s", .gauge, "Runnable tasks, averaged by the kernel.",
            .metric(.cpuLoad, .thousandths)),
        family(
            "container_spec_cpu_shares", .gauge, "CPU share of the container.",
            .metric(.cpuShares, .none)),
        family(
            "container_spec_cpu_quota", .gauge,
            "CPU quota of the container in microseconds, 0 for none.",
            .metric(.cpuCfsQuota, .limitMicroseconds)),
        family(
            "container_spec_cpu_period", .gauge, "CPU period of the container in microseconds.",
            .metric(.cpuCfsPeriod, .microseconds)),
        family(
            "container_pressure_cpu_waiting_seconds_total", .counter,
            "Total time duration tasks in the container have waited due to CPU congestion.",
            .metric(.pressureCPUSome, .nanoseconds)),
        family(
            "container_pressure_cpu_stalled_seconds_total", .counter,
            "Total time duration no tasks in the container could make progress due to CPU congestion.",
            .metric(.pressureCPUFull, .nanoseconds)),
        family(
            "container_pressure_memory_waiting_seconds_total", .counter,
            "Total time duration tasks in the container have waited due to memory congestion.",
            .metric(.pressureMemorySome, .nanoseconds)),
        family(
            "container_pressure_memory_stalled_seconds_total", .counter,
            "Total time duration no tasks in the container could make progress due to memory "
                + "congestion.", .metric(.pressureMemoryFull, .nanoseconds)),
        family(
            "container_pressure_io_waiting_seconds_total", .counter,
            "Total time duration tasks in the container have waited due to IO congestion.",
            .metric(.pressureIOSome, .nanoseconds)),
        family(
            "container_pressure_io_stalled_seconds_total", .counter,
            "Total time duration no tasks in the container could make progress due to IO congestion.",
            .metric(.pressureIOFull, .nanoseconds)),
    ]

    private static func bytes(
        _ name: String, _ help: String, _ metric: MetricID
    ) -> SeriesFamily { family(name, .gauge, help, .metric(metric, .none)) }

    private static func count(
        _ name: String, _ help: String, _ metric: MetricID
    ) -> SeriesFamily { family(name, .counter, help, .metric(metric, .none)) }

    private static let memory: [SeriesFamily] = [
        bytes("container_memory_usage_bytes", "Current memory usage in bytes.", .memoryUsage),
        bytes(
            "container_memory_working_set_bytes", "Current working set in bytes.",
            .memoryWorkingSet),
        bytes("container_memory_rss", "Size of RSS in bytes.", .memoryRSS),
        bytes("container_memory_cache", "Number of bytes of page cache memory.", .memoryCache),
        bytes("container_memory_swap", "Container swap usage in bytes.", .memorySwap),
        bytes(
            "container_memory_mapped_file", "Size of memory mapped files in bytes.",
            .memoryMappedFile),
        bytes(
            "container_memory_kernel_usage", "Size of kernel memory allocated in bytes.",
            .memoryKernel),
        bytes(
            "container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes.",
            .memoryMaxUsage),
        bytes(
            "container_memory_total_active_file_bytes", "Current total active file in bytes.",
            .memoryActiveFile),
        bytes(
            "container_memory_total_inactive_file_bytes", "Current total inactive file in bytes.",
            .memoryInactiveFile),
        bytes(
            "container_memory_file_dirty_bytes", "Page cache waiting to be written in bytes.",
            .memoryDirty),
        bytes(
            "container_memory_file_writeback_bytes", "Page cache being written in bytes.",
            .memoryWriteback),
        count(
            "container_memory_failcnt", "Number of memory usage hits limits.", .memoryFailcnt),
        family(
            "container_memory_failures_total", .counter,
            "Cumulative count of memory allocation failures.",
            .metrics([
                (
                    .memoryPageFaults,
                    [
                        .init(name: "failure_type", value: "pgfault"),
                        .init(name: "scope", value: "container"),
                    ]
                ),
                (
                    .memoryMajorPageFaults,
                    [
                        .init(name: "failure_type", value: "pgmajfault"),
                        .init(name: "scope", value: "container"),
                    ]
                ),
                (
                    .memoryPageFaults,
                    [
                        .init(name: "failure_type", value: "pgfault"),
                        .init(name: "scope", value: "hierarchy"),
                    ]
                ),
                (
                    .memoryMajorPageFaults,
                    [
                        .init(name: "failure_type", value: "pgmajfault"),
                        .init(name: "scope", value: "hierarchy"),
                    ]
                ),
            ])),
        count(
            "container_memory_events_high_total", "Times that memory.high throttled it.",
            .memoryEventsHigh),
        count(
            "container_memory_events_max_total", "Times that memory.max was about to be exceeded.",
            .memoryEventsMax),
        count("container_memory_pgscan_total", "Pages scanned by reclaim.", .memoryPageScans),
        count("container_memory_pgsteal_total", "Pages reclaimed.", .memoryPageSteals),
        count(
            "container_memory_workingset_refault_file_total",
            "Page cache pages read again soon after eviction.", .memoryRefaultFile),
        count(
            "container_memory_workingset_refault_anon_total",
            "Anonymous pages read again soon after eviction.", .memoryRefaultAnon),
        count(
            "container_oom_events_total", "Count of out of memory events observed.",
            .memoryOOMKills),
        family(
            "container_spec_memory_limit_bytes", .gauge, "Memory limit for the container.",
            .metric(.memoryCgroupLimit, .limit)),
        family(
            "container_spec_memory_swap_limit_bytes", .gauge,
            "Memory swap limit for the container.", .metric(.memorySwapLimit, .limit)),
        family(
            "container_spec_memory_reservation_limit_bytes", .gauge,
            "Memory reservation limit for the container.", .metric(.memoryReservation, .limit)),
    ]

    private static func filesystem(
        _ name: String, _ help: String, _ metric: MetricID
    ) -> SeriesFamily {
        // A pod's filesystems are its volumes, which others have too.
        family(
            name, .gauge, help, .part(.filesystem, metric, .none), [.node, .system, .container])
    }

    private static func device(
        _ name: String, _ help: String, _ metric: MetricID, _ scale: SeriesFamily.Scale = .none,
        _ kind: ExpositionWriter.Kind = .counter
    ) -> SeriesFamily { family(name, kind, help, .part(.blockDevice, metric, scale)) }

    private static let storage: [SeriesFamily] = [
        filesystem(
            "container_fs_usage_bytes",
            "Number of bytes that are consumed by the container on this filesystem.",
            .filesystemUsage),
        filesystem(
            "container_fs_limit_bytes",
            "Number of bytes that can be consumed by the container on this filesystem.",
            .filesystemLimit),
        filesystem(
            "container_fs_inodes_total", "Number of Inodes", .filesystemInodes),
        filesystem(
            "container_fs_inodes_free", "Number of available Inodes", .filesystemInodesFree),
        device(
            "container_fs_reads_bytes_total", "Cumulative count of bytes read", .diskReadBytes),
        device("container_fs_reads_total", "Cumulative count of reads completed", .diskReads),
        device(
            "container_fs_reads_merged_total", "Cumulative count of reads merged", .diskReadsMerged),
        device(
            "container_fs_read_seconds_total", "Cumulative count of seconds spent reading",
            .diskReadTime, .milliseconds),
        device(
            "container_fs_writes_bytes_total", "Cumulative count of bytes written",
            .diskWriteBytes),
        device("container_fs_writes_total", "Cumulative count of writes completed", .diskWrites),
        device(
            "container_fs_writes_merged_total", "Cumulative count of writes merged",
            .diskWritesMerged),
        device(
            "container_fs_write_seconds_total", "Cumulative count of seconds spent writing",
            .diskWriteTime, .milliseconds),
        device(
            "container_fs_io_current", "Number of I/Os currently in progress", .diskInFlight, .none,
            .gauge),
        device(
            "container_fs_io_time_seconds_total", "Cumulative count of seconds spent doing I/Os",
            .diskIOTime, .milliseconds),
        device(
            "container_fs_io_time_weighted_seconds_total",
            "Cumulative weighted I/O time in seconds", .diskIOTimeWeighted, .milliseconds),
        family(
            "container_blkio_device_usage_total", .counter, "Blkio device bytes usage",
            .deviceUsage(read: .diskReadBytes, write: .diskWriteBytes)),
    ]

    private static let network: [SeriesFamily] = [
        ("receive", "bytes", "bytes received", MetricID.networkReceiveBytes),
        ("receive", "packets", "packets received", .networkReceivePackets),
        ("receive", "packets_dropped", "packets dropped while receiving", .networkReceiveDropped),
        ("receive", "errors", "errors encountered while receiving", .networkReceiveErrors),
        ("transmit", "bytes", "bytes transmitted", .networkTransmitBytes),
        ("transmit", "packets", "packets transmitted", .networkTransmitPackets),
        (
            "transmit", "packets_dropped", "packets dropped while transmitting",
            .networkTransmitDropped
        ),
        ("transmit", "errors", "errors encountered while transmitting", .networkTransmitErrors),
    ].map { direction, what, help, metric in
        family(
            "container_network_\(direction)_\(what)_total", .counter, "Cumulative count of \(help)",
            .part(.networkInterface, metric, .none), [.node, .pod])
    }

    private static let others: [SeriesFamily] = [
        family(
            "container_last_seen", .gauge, "Last time a container was seen by the agent",
            .readTime),
        family(
            "container_start_time_seconds", .gauge,
            "Start time of the container since unix epoch in seconds.", .startTime),
        family(
            "container_processes", .gauge, "Number of processes running inside the container.",
            .metric(.processCount, .none)),
        family(
            "container_threads", .gauge, "Number of threads running inside the container",
            .metric(.processThreads, .none)),
        family(
            "container_threads_max", .gauge,
            "Maximum number of threads allowed inside the container, infinity if value is zero",
            .metric(.processThreadsLimit, .limit)),
        family(
            "container_hugetlb_usage_bytes", .gauge, "Current hugepage usage in bytes",
            .part(.hugePages, .hugePagesUsage, .none)),
        family(
            "container_hugetlb_max_usage_bytes", .gauge,
            "Maximum hugepage usages recorded in bytes",
            .part(.hugePages, .hugePagesMaxUsage, .none)),
        family(
            "container_hugetlb_failcnt", .counter, "Number of hugepage usage hits limits",
            .part(.hugePages, .hugePagesFailcnt, .none)),
        family(
            "container_scrape_error", .gauge,
            "1 if the node has told nothing for three cycles, 0 otherwise", .silence),
    ]

    private static let machine: [SeriesFamily] = [
        family(
            "machine_cpu_cores", .gauge, "Number of logical CPU cores.", .machine { $0.cores },
            .node),
        family(
            "machine_cpu_physical_cores", .gauge, "Number of physical CPU cores.",
            .machine { $0.physicalCores }, .node),
        family(
            "machine_cpu_sockets", .gauge, "Number of CPU sockets.", .machine { $0.sockets },
            .node),
        family(
            "machine_memory_bytes", .gauge, "Amount of memory installed on the machine.",
            .machine { $0.memoryBytes }, .node),
        family(
            "machine_swap_bytes", .gauge, "Amount of swap memory available on the machine.",
            .machine { $0.swapBytes }, .node),
        family(
            "machine_node_memory_capacity_bytes", .gauge,
            "Amount of memory assigned to NUMA node.",
            .machineParts { machine in
                machine.nodes.map {
                    .init(labels: [("node_id", String($0.number))], value: $0.memoryBytes)
                }
            }, .node),
        family(
            "machine_node_distance", .gauge, "Distance between NUMA node and target NUMA node.",
            .machineParts { distances($0) }, .node),
        // The machine's, not each NUMA node's.
        family(
            "machine_node_hugepages_count", .gauge, "Number of hugepages assigned to the machine.",
            .machineParts { machine in
                machine.hugePages.map {
                    .init(
                        labels: [("page_size", String($0.pageBytes / 1_024))], value: $0.pageCount)
                }
            }, .node),
        family(
            "machine_scrape_error", .gauge,
            "1 if the node has told nothing for three cycles, 0 otherwise.", .silence),
        family(
            "cadvisor_version_info", .gauge,
            "A metric with a constant '1' value labeled by kernel version and OS version.",
            .versions, .node),
    ]

    private static func distances(_ machine: MachineFacts) -> [SeriesFamily.MachineFigure] {
        machine.nodes.flatMap { node in
            zip(machine.nodes, node.distances.split(separator: " ")).compactMap {
                target, distance in
                UInt64(distance).map {
                    SeriesFamily.MachineFigure(
                        labels: [
                            ("node_id", String(node.number)),
                            ("target_node_id", String(target.number)),
                        ], value: $0)
                }
            }
        }
    }
}
