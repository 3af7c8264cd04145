import Wire

/// The running parts of an aggregator.
final class AggregatorService {
    private let configuration: AggregatorConfiguration
    private let cluster: Cluster
    private let metadata: MetadataService
    private let ingestLoops: [EventLoop]
    private let ingestThreads: [SystemThread]
    private let listener: LoopConfined<AgentListener>
    private let ingestAddress: SocketAddress
    private let api: APIService
    /// `nil` where agents are not checked with the apiserver.
    private let reviewer: TokenReviewer?
    /// `nil` where there are no sinks.
    private let sinks: RunningSinks?
    private let keeper: ModelKeeper
    /// `nil` without `--data-dir`, as is `log`.
    private let folder: DataFolder?
    private let log: DurableLog?

    /// Starts everything.
    ///
    /// - Throws: what the user can mend: a busy port, an unreadable file.
    init(_ configuration: AggregatorConfiguration) throws(UsageError) {
        self.configuration = configuration
        let names = PodDirectory(window: configuration.model.model.window)
        let cluster = Cluster(configuration: configuration.model.model, facts: names)
        self.cluster = cluster
        folder = try configuration.data.directory.map { (path) throws(UsageError) in
            try DataFolder(path)
        }
        // Agents that lost the last process wait for this one, instead of asking ever more seldom.
        let port: TCPListener
        do throws(TransportError) {
            port = try AgentListener.listen(configuration.listen.ingest)
        } catch {
            throw UsageError(problems: ["\(error)"])
        }
        let fileCount = FileLimit.raise()
        var ingest = configuration.ingest.ingest
        if fileCount < ingest.connections {
            Diagnostics.info(
                "\(fileCount) files may be open (ulimit -n), fewer than --max-connections="
                    + "\(ingest.connections)")
            // Some are left for the API and for files.
            ingest.connections = max(64, fileCount - 256)
        }
        ingest.waiting = min(ingest.waiting, max(16, ingest.connections / 2))
        // Before names change, agents speak and sinks look for closed cycles.
        log = try folder.map { (folder) throws(UsageError) in
            try AgentLobby(port, countMax: ingest.waiting).whileOpen { () throws(UsageError) in
                try DurableLog(
                    folder: "\(folder.path)/log", configuration: configuration.log.log,
                    cluster: cluster, directory: names,
                    threadCount: max(2, configuration.ingest.threads))
            }
        }
        do {
            metadata = try MetadataService(
                podsFile: configuration.source.podsFile, access: configuration.source.access,
                directory: names)
        } catch {
            throw UsageError(problems: ["\(error)"])
        }
        let memory = configuration.memory.limit.map { MemoryKeeper($0, cluster: cluster) }
        var expected: (@Sendable () -> Set<String>)?
        if configuration.source.access != nil { expected = { Set(names.nodes().map(\.name)) } }
        keeper = ModelKeeper(cluster, memory: memory, expectedNodes: expected) { [log] in
            log?.committer.watch()
        }
        let counters = IngestCounters()
        var answers = AggregatorAPI(
            cluster: cluster, ingest: counters,
            metadata: MetadataMetrics(
                directory: metadata.directory, status: metadata.source?.status),
            limits: configuration.apiLimits.limits)
        answers.history = configuration.history.source
        answers.batchOptions = configuration.labels.options
        log?.show(in: &answers)
        log?.follow(answers.index)
        if let folder, answers.history == nil {
            answers.history = LogHistory(
                recent: ModelHistory(reader: answers.reader, index: answers.index),
                archive: LogArchive(
                    folder: "\(folder.path)/log", configuration: configuration.model.model))
        }
        var leader: (LeaderElection.Settings, APIServerAccess)?
        if let election = configuration.leader.election, let access = configuration.source.access {
            leader = (election, access)
        }
        sinks = try RunningSinks(
            configuration.sinks, leader: leader, for: answers,
            dataDirectory: configuration.data.directory)
        sinks?.show(in: &answers)
        if let memory { answers.ownMetrics.append { memory.write(to: &$0, cluster.gate) } }
        do throws(TransportError) {
            if let policy = configuration.identity.policy, let access = configuration.source.access
            {
                ingest.authentication.reviewer = try TokenReviewer(
                    policy, access: access, directory: names)
            }
            reviewer = ingest.authentication.reviewer
            var loops: [EventLoop] = []
            for _ in 0..<configuration.ingest.threads { loops.append(try EventLoop()) }
            let agents = AgentListener(
                port, loops: loops, cluster: cluster, configuration: ingest, counters: counters)
            if let log { agents.follow(log.committer) }
            try agents.start()
            ingestAddress = agents.address
            listener = LoopConfined(agents, to: loops[0])
            ingestLoops = loops
            api = try APIService(
                configuration.api, configuration.apiLimits.server,
                listeningOn: configuration.listen.api, plain: configuration.listen.plain,
                api: answers)
            try Self.start(sinks, after: log)
            try keeper.start()
            var threads: [SystemThread] = []
            for (number, loop) in loops.enumerated() {
                threads.append(try SystemThread.start(name: "ingest-\(number)") { loop.run() })
            }
            ingestThreads = threads
        } catch {
            throw UsageError(problems: ["\(error)"])
        }
    }

    /// Sinks look for closed cycles in the model, so all that the log has must be there.
    private static func start(
        _ sinks: RunningSinks?, after log: DurableLog?
    ) throws(TransportError) {
        guard let log else {
            try sinks?.start()
            return
        }
        try log.readPast {
            do throws(TransportError) {
                try sinks?.start()
            } catch {
                Diagnostics.error("sinks get nothing: \(error)")
            }
        }
    }

    /// Says where to find it.
    func announce() {
        if let policy = reviewer?.policy {
            Diagnostics.info(
                "agents must present a token of \(policy.namespace):\(policy.serviceAccount) for the "
                    + "audience \(policy.audience)")
        }
        Diagnostics.info(
            "heapwire-aggregator \(HeapwireVersion.current): API on \(api.url), "
                + "agents on \(ingestAddress)")
        let unneeded = configuration.source.options?.unneeded ?? []
        if !unneeded.isEmpty {
            Diagnostics.info(
                "--source: \(unneeded.joined(separator: ", ")) not needed: no kubelet is asked")
        }
        if !configuration.listen.ingest.isLoopback, configuration.ingest.ingest.tls == nil {
            Diagnostics.warning(
                "agents' frames are taken UNENCRYPTED from other machines (--insecure-ingest)")
        }
        if let limit = configuration.memory.limit {
            Diagnostics.info("memory: up to \(limit.byteCount >> 20) MiB (\(limit.origin))")
        }
        api.warn()
    }

    /// Stops in the order in which data flows: agents, then sinks, then answers. Call it once.
    func stop() {
        ingestLoops[0].post { [listener] in listener.value.stop() }
        for loop in ingestLoops { loop.stop() }
        for thread in ingestThreads { thread.join() }
        keeper.stop()
        reviewer?.stop()
        log?.stopReading()
        // They were not started before.
        if log?.isComplete ?? true { sinks?.stop() }
        api.stop()
        metadata.stop()
        // Nothing is appended any more; what was is kept for the next start.
        log?.stop()
    }
}
