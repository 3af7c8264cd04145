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
    /// `nil` without `--data-dir`.
    private let log: DurableLog?

    /// Starts everything.
    ///
    /// - Throws: what the user can mend: a busy port, an unreadable file.
    init(_ configuration: AggregatorConfiguration) throws(UsageError) {
        self.configuration = configuration
        let names = PodDirectory(window: configuration.model.model.window)
        let cluster = Cluster(configuration: configuration.model.model, facts: names)
        self.cluster = cluster
        // Before names change and agents speak.
        log = try configuration.log.folder.map { (folder) throws(UsageError) in
            try DurableLog(
                folder: folder, configuration: configuration.log.log, cluster: cluster,
                directory: names, threadCount: max(2, configuration.ingest.threads))
        }
        do {
            metadata = try MetadataService(
                podsFile: configuration.source.podsFile, access: configuration.source.access,
                directory: names)
        } catch {
            throw UsageError(problems: ["\(error)"])
        }
        let counters = IngestCounters()
        do throws(TransportError) {
            var ingest = configuration.ingest.ingest
            if let policy = configuration.identity.policy, let access = configuration.source.access
            {
                ingest.authentication.reviewer = try TokenReviewer(
                    policy, access: access, directory: names)
            }
            reviewer = ingest.authentication.reviewer
            var loops: [EventLoop] = []
            for _ in 0..<configuration.ingest.threads { loops.append(try EventLoop()) }
            let agents = try AgentListener(
                configuration.listen.ingest, loops: loops, cluster: cluster,
                configuration: ingest, counters: counters)
            if let log { agents.follow(log.committer) }
            try agents.start()
            ingestAddress = agents.address
            listener = LoopConfined(agents, to: loops[0])
            ingestLoops = loops
            var answers = AggregatorAPI(
                cluster: cluster, ingest: counters,
                metadata: MetadataMetrics(
                    directory: metadata.directory, status: metadata.source?.status))
            answers.batchOptions = configuration.labels.options
            api = try APIService(
                configuration.api, listeningOn: configuration.listen.api, api: answers)
            var threads: [SystemThread] = []
            for (number, loop) in loops.enumerated() {
                threads.append(try SystemThread.start(name: "ingest-\(number)") { loop.run() })
            }
            ingestThreads = threads
        } catch {
            throw UsageError(problems: ["\(error)"])
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
        api.warn()
    }

    /// Stops in the order in which data flows: agents, then answers. Call it once.
    func stop() {
        ingestLoops[0].post { [listener] in listener.value.stop() }
        for loop in ingestLoops { loop.stop() }
        for thread in ingestThreads { thread.join() }
        reviewer?.stop()
        api.stop()
        metadata.stop()
        // Nothing is appended any more; what was is kept for the next start.
        log?.stop()
    }
}
