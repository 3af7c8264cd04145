import Wire

/// Every route that the aggregator answers, and what their handlers ask.
struct AggregatorAPI: Sendable {
    let cluster: Cluster
    let index: ClusterIndex
    let reader: ModelReader
    let custom: CustomMetrics
    let ingest: IngestCounters
    let metadata: MetadataMetrics
    let clock: Clock
    var batchOptions = BatchOptions()
    /// What other parts say of themselves in `/metrics`.
    var ownMetrics: [SelfMetrics.Writer] = []
    let limits: APILimits
    /// Whether `…/model/debug/allkeys` is there.
    var allowsDebug = false
    /// `nil` for the aggregator's own history.
    var history: (any HistoricalSource)?
    let pushCounters = PushCounters()
    /// `nil` where there are none.
    var sinks: SinkSet?
    /// Which of several aggregators writes to them; `nil` where there is no election.
    var leader: LeaderElector?

    /// - Parameter cluster: with the roll-ups' facts from the same directory.
    init(
        cluster: Cluster, ingest: IngestCounters, metadata: MetadataMetrics,
        limits: APILimits = APILimits(), clock: Clock = .system
    ) {
        self.cluster = cluster
        self.limits = limits
        self.ingest = ingest
        self.metadata = metadata
        self.clock = clock
        index = ClusterIndex(cluster: cluster, directory: metadata.directory)
        custom = CustomMetrics(
            configuration: cluster.configuration, limits: limits.series, clock: clock)
        reader = ModelReader(cluster: cluster, names: JoinedNames(index), custom: custom)
    }

    /// What Heapster answered, for reading.
    func heapsterRouter() -> Router {
        var router = Router()
        registerHeapster(in: &router)
        HealthAPI(cluster: cluster, metadata: metadata, clock: clock).register(in: &router)
        return router
    }

    private func registerHeapster(in router: inout Router) {
        ModelAPI(
            reader: reader, index: index, pointCountMax: limits.pointCountMax,
            allowsDebug: allowsDebug
        ).register(in: &router)
        MetricExportAPI(index: index, custom: custom, options: batchOptions)
            .register(in: &router)
        HistoricalAPI(
            source: history ?? ModelHistory(reader: reader, index: index),
            pointCountMax: limits.pointCountMax
        ).register(in: &router)
        HeapsterResourceAPI(index: index, clock: clock).register(in: &router)
    }

    func router() -> Router {
        var router = Router()
        registerHeapster(in: &router)
        ResourceMetricsAPI(index: index, clock: clock).register(in: &router)
        registerPushed(in: &router)
        DiscoveryAPI(index: index, groups: APIGroups(custom: custom)).register(in: &router)
        MachineAPI(index: index).register(in: &router)
        SinksAPI(sinks: sinks, leader: leader).register(in: &router)
        SelfMetrics(
            cluster: cluster, ingest: ingest, metadata: metadata, clock: clock,
            others: ownMetrics + [{ pushCounters.write(custom, &$0) }]
        ).register(in: &router)
        ExpositionAPI(index: index, custom: custom).register(in: &router)
        // Nothing is below it; only the words are Heapster's.
        _ = router.addGroup(.heapster(prefix: "/debug/pprof"))
        HealthAPI(cluster: cluster, metadata: metadata, clock: clock).register(in: &router)
        return router
    }
}
