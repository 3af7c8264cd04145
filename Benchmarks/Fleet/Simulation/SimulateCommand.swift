import Foundation
import Wire

/// `heapwire-fleet simulate`: many nodes over real connections, from one process.
final class SimulateCommand {
    static var flags: [Flag] { SimulationOptions.flags }

    private let options: SimulationOptions
    private var shards: [(loop: EventLoop, shard: FleetShard)] = []
    private let clock = Clock.system

    init(_ options: SimulationOptions) throws {
        self.options = options
        try Self.raiseFileLimit(to: options.nodes + 200)
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        for number in 0..<options.threads {
            let loop = try EventLoop()
            let shard = try FleetShard(number: number, options: options, loop: loop, now: now)
            shards.append((loop, shard))
        }
    }

    private static func raiseFileLimit(to wanted: Int) throws {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            limit.rlim_cur < rlim_t(wanted)
        else { return }
        limit.rlim_cur = min(rlim_t(wanted), limit.rlim_max)
        guard limit.rlim_cur >= rlim_t(wanted),
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        else {
            throw FleetFailure.usage(
                "\(wanted) open files are needed, \(limit.rlim_max) are allowed (ulimit -n)")
        }
    }

    func run() throws {
        if let path = options.podsPath { try writePods(path) }
        var connecting = Int64(options.nodes * 1_000 / options.connectsPerSecond) + 500
        if options.backlog > 0 {
            let now = Int64(clock.realtimeNanoseconds / 1_000_000)
            FleetOutput.line("recording what nodes bring with them")
            for item in shards { try item.shard.recordBacklog(from: now - options.backlog) }
            // Steps go on while nodes come.
            connecting = 0
        }
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        let firstStep =
            (now + connecting + options.resolution - 1) / options.resolution * options.resolution
        let probe = options.api.map { APIProbe(options, $0, pods: lastingPods) }
        var threads: [SystemThread] = []
        for (index, item) in shards.enumerated() {
            threads.append(try Self.start(item.loop, item.shard, index, firstStep))
        }
        let watch = options.watchedPID.map { WatchedProcess(pid: $0) }
        if let probe { threads.append(try Self.start(probe, firstStep + options.warmUp)) }
        let result = observe(firstStep: firstStep, watch)
        probe?.stop()
        for item in shards { Self.stop(item.loop, item.shard) }
        for thread in threads { thread.join() }
        if let path = options.podsPath, options.churnPerMinute > 0 { try writePods(path) }
        report(result, probe?.result)
    }

    private static func start(_ probe: APIProbe, _ begin: Int64) throws -> SystemThread {
        try SystemThread.start(name: "probe") { probe.run(from: begin) }
    }

    /// Some pods of nodes all over the fleet; with churn, some of them go.
    private var lastingPods: [(uid: String, namespace: String, name: String)] {
        var found: [(uid: String, namespace: String, name: String)] = []
        var count: UInt64 = 0
        for item in shards {
            item.shard.forEachPod { names, pod in
                count += 1
                guard
                    SplitMix.mix(count) % UInt64(max(1, options.nodes * options.pods / 2_000)) == 0
                else { return }
                found.append(
                    (
                        names.podUID(pod.serial), names.namespace(pod.serial),
                        names.podName(pod.serial)
                    ))
            }
        }
        return found
    }

    /// The shard is handed to the loop's thread before anything runs and comes back after `join`.
    private static func start(
        _ loop: EventLoop, _ shard: FleetShard, _ index: Int, _ firstStep: Int64
    ) throws -> SystemThread {
        let confined = LoopConfined(shard, to: loop)
        loop.post { confined.value.start(firstStep: firstStep) }
        return try SystemThread.start(name: "fleet-\(index)") { loop.run() }
    }

    private static func stop(_ loop: EventLoop, _ shard: FleetShard) {
        let confined = LoopConfined(shard, to: loop)
        loop.post {
            confined.value.stop()
            loop.stop()
        }
    }

    private func writePods(_ path: String) throws {
        var writer = try PodListWriter(path: path)
        for item in shards { item.shard.forEachPod { writer.add($0, $1) } }
        try writer.finish()
    }

    // MARK: Watching

    /// What is measured from the end of the warm-up to the end.
    private struct Result {
        var seconds = 0.0
        var counters = FleetCounters()
        var framesAcknowledged: UInt64 = 0
        var samplesAcknowledged: UInt64 = 0
        var bytesSent: UInt64 = 0
        /// In the best second of all, the arrival of what nodes bring with them included.
        var framesPerSecondMost = 0.0
        var aggregator: WatchedProcess.Usage?
        var aggregatorCPU = 0.0
        var ingestCPU = 0.0
        var fleetCPU = 0.0
    }

    /// When the measurement began.
    private struct Start {
        let counters: FleetCounters
        let time: UInt64
        let fleetCPU: Double
        let aggregator: WatchedProcess.Usage
    }

    private var counters: FleetCounters {
        var sum = FleetCounters()
        for item in shards { sum.merge(item.shard.published.newest) }
        return sum
    }

    /// A line each second; returns at the end of the duration or on a signal.
    private func observe(firstStep: Int64, _ watch: WatchedProcess?) -> Result {
        var before = FleetCounters()
        var lookedAt = clock.monotonicNanoseconds
        var most = 0.0
        var start: Start?
        let begin = clock.monotonicNanoseconds
        let measured = firstStep + options.warmUp
        while !StopSignal.isRaised {
            usleep(1_000_000)
            let now = counters
            let time = Int64(clock.realtimeNanoseconds / 1_000_000)
            progress(now, before, seconds: Double(clock.monotonicNanoseconds - begin) / 1e9)
            let looked = clock.monotonicNanoseconds
            let frames = Double(now.framesAcknowledged - before.framesAcknowledged)
            most = max(most, frames / (Double(looked - lookedAt) / 1e9))
            lookedAt = looked
            before = now
            if start == nil, time >= measured {
                start = Start(
                    counters: now, time: clock.monotonicNanoseconds, fleetCPU: Self.ownCPU,
                    aggregator: watch?.usage ?? WatchedProcess.Usage())
            }
            if options.duration > 0, time >= firstStep + options.duration { break }
        }
        var result = Result()
        result.counters = counters
        result.framesPerSecondMost = most
        guard let start else { return result }
        result.seconds = Double(clock.monotonicNanoseconds - start.time) / 1e9
        result.framesAcknowledged =
            result.counters.framesAcknowledged - start.counters.framesAcknowledged
        result.samplesAcknowledged =
            result.counters.samplesAcknowledged - start.counters.samplesAcknowledged
        result.bytesSent = result.counters.bytesSent - start.counters.bytesSent
        result.fleetCPU = Self.ownCPU - start.fleetCPU
        result.aggregator = watch?.usage
        result.aggregatorCPU =
            (result.aggregator?.cpuSeconds ?? 0) - start.aggregator.cpuSeconds
        result.ingestCPU =
            (result.aggregator?.ingestSeconds ?? 0) - start.aggregator.ingestSeconds
        return result
    }

    private func progress(_ now: FleetCounters, _ before: FleetCounters, seconds: Double) {
        let samples = Double(now.samplesAcknowledged - before.samplesAcknowledged) / 1e6
        let bytes = Double(now.bytesSent - before.bytesSent) / 1e6
        var text = "\(FleetOutput.number(seconds, digits: 0))s"
        text += " nodes \(now.connected)/\(options.nodes)"
        text += " frames sent \(now.framesSent - before.framesSent)"
        text += " acknowledged \(now.framesAcknowledged - before.framesAcknowledged)"
        text += " \(FleetOutput.number(samples)) M samples \(FleetOutput.number(bytes)) MB"
        text += " ack p50 \(FleetOutput.number(now.latency.quantile(0.5), digits: 1))"
        text += " p99 \(FleetOutput.number(now.latency.quantile(0.99), digits: 1)) ms"
        if now.stepsSkipped > 0 { text += " steps skipped \(now.stepsSkipped)" }
        FleetOutput.line(text)
    }

    private static var ownCPU: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }

    private func report(_ result: Result, _ probe: APIProbe.Result?) {
        let counters = result.counters
        let notes = counters.rejects.merging(probe?.failures ?? [:]) { $0 + $1 }
        for (words, count) in notes.sorted(by: { $0.value > $1.value }).prefix(5) {
            FleetOutput.line("\(count) times: \(words)")
        }
        let seconds = max(result.seconds, 1e-9)
        let samples = Double(max(1, result.samplesAcknowledged))
        let number = FleetOutput.number
        var fields: [(name: String, value: String)] = [
            ("nodes", "\(options.nodes)"), ("connected", "\(counters.connected)"),
            ("seconds", number(result.seconds, 1)),
            ("frames_per_second", number(Double(result.framesAcknowledged) / seconds, 0)),
            ("samples_per_second", number(Double(result.samplesAcknowledged) / seconds, 0)),
            ("frames_per_second_most", number(result.framesPerSecondMost, 0)),
            ("bytes_per_sample", number(Double(result.bytesSent) / samples, 3)),
            ("ack_p50_ms", number(counters.latency.quantile(0.5), 1)),
            ("ack_p99_ms", number(counters.latency.quantile(0.99), 1)),
            ("ack_max_ms", number(Double(counters.latency.longest) / 1e6, 1)),
            ("connects", "\(counters.connects)"), ("disconnects", "\(counters.disconnects)"),
            ("chains_begun", "\(counters.chainsBegun)"),
            ("frames_lost", "\(counters.framesLost)"),
            ("frames_forgotten", "\(counters.framesForgotten)"),
            ("steps_skipped", "\(counters.stepsSkipped)"),
            ("fleet_cores", number(result.fleetCPU / seconds, 3)),
        ]
        if let aggregator = result.aggregator {
            fields.append(("aggregator_cores", number(result.aggregatorCPU / seconds, 3)))
            let frames = Double(max(1, result.framesAcknowledged))
            fields.append(
                ("aggregator_us_per_frame", number(result.aggregatorCPU / frames * 1e6, 1)))
            // What decoding and applying cost at most: sockets and acknowledgements are in it.
            fields.append(("ingest_us_per_frame", number(result.ingestCPU / frames * 1e6, 1)))
            fields.append(
                ("ingest_samples_per_core_second", number(samples / max(0.01, result.ingestCPU), 0))
            )
            fields.append(("aggregator_rss_mib", number(aggregator.residentMebibytes, 0)))
            fields.append(("aggregator_rss_max_mib", number(aggregator.residentMebibytesMax, 0)))
        }
        if let probe {
            fields += [
                ("visible_p50_ms", number(probe.visible.quantile(0.5), 1)),
                ("visible_p99_ms", number(probe.visible.quantile(0.99), 1)),
                ("visible_count", "\(probe.visible.count)"),
                ("series_p50_ms", number(probe.series.quantile(0.5), 1)),
                ("series_p99_ms", number(probe.series.quantile(0.99), 1)),
                ("series_points", "\(probe.seriesPoints)"),
            ]
        }
        FleetOutput.json(fields)
    }
}
