import Synchronization
import Wire

/// The nodes of one event loop, with the streams that they send.
final class FleetShard {
    let published = PublishedCounters()
    private let options: SimulationOptions
    private let loop: EventLoop
    private let box = CounterBox()
    private var streams: [Member] = []

    private struct Member {
        /// Among all streams of the fleet.
        let number: Int
        let stream: SimulatedStream
        let links: [FleetLink]
        let timer: TimerID
    }

    /// Links that are cut off, and when they return, monotonic nanoseconds.
    private var absent: [(link: FleetLink, returns: UInt64)] = []
    private var random: SplitMix
    private var dropDebt = 0.0
    private var firstStep: Int64 = 0
    private var isMeasuring = false

    /// - Parameter number: of the shard; it has the streams and nodes with its remainder.
    init(number: Int, options: SimulationOptions, loop: EventLoop, now: Int64) throws(WireError) {
        self.options = options
        self.loop = loop
        random = SplitMix(seed: options.seed ^ 0xD20B)
        for index in 0..<options.streams where index % options.threads == number {
            let stream = try SimulatedStream(number: index, options: options, now: now)
            let links = stride(from: index, to: options.nodes, by: options.streams).map {
                makeLink(SimulatedNames(node: $0), stream.log)
            }
            let place = streams.count
            let timer = loop.makeTimer { [weak self] in self?.step(place) }
            streams.append(Member(number: index, stream: stream, links: links, timer: timer))
        }
    }

    private func makeLink(_ names: SimulatedNames, _ log: FrameLog) -> FleetLink {
        var runs = SplitMix(seed: loop.clock.realtimeNanoseconds ^ UInt64(names.node) << 40)
        let runID = (0..<16).map { _ in UInt8(truncatingIfNeeded: runs.next()) }
        let identity = FleetLink.Identity(
            nodeName: names.nodeName, runID: runID, token: options.token,
            stamp: { names.stamp($0) })
        return FleetLink(
            identity, log: log, target: options.target, loop: loop, box: box,
            bringsAll: options.backlog > 0)
    }

    /// All pods of all nodes of this shard.
    func forEachPod(_ body: (SimulatedNames, SimulatedStream.Pod) -> Void) {
        for index in streams.indices {
            for link in streams[index].links {
                let digits = link.identity.nodeName.drop { !$0.isNumber }
                let names = SimulatedNames(node: Int(digits) ?? 0)
                for pod in streams[index].stream.pods { body(names, pod) }
            }
        }
    }

    /// Lets the time before the first step pass, up to now.
    ///
    /// - Parameter start: milliseconds since the epoch.
    func recordBacklog(from start: Int64) throws(WireError) {
        var step = start - start % options.resolution
        while true {
            let now = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
            guard step + options.resolution <= now else { return }
            for item in streams {
                try item.stream.record(
                    step: step, readDelay: options.delay(ofStream: item.number),
                    taken: loop.clock.monotonicNanoseconds)
            }
            step += options.resolution
        }
    }

    /// Connects the nodes one after the other and begins with steps when all had the time to.
    ///
    /// - Parameter firstStep: milliseconds since the epoch.
    func start(firstStep: Int64) {
        self.firstStep = firstStep
        let perShard = UInt64(max(1, options.connectsPerSecond / options.threads))
        var count: UInt64 = 0
        for item in streams {
            for link in item.links {
                absent.append((link, loop.now + count * 1_000_000_000 / perShard))
                count += 1
            }
        }
        absent.sort { $0.returns > $1.returns }
        repeatEvery(milliseconds: 10) { [weak self] in self?.reconnect() }
        repeatEvery(milliseconds: 100) { [weak self] in self?.publish() }
        if options.dropsPerMinute > 0 {
            repeatEvery(milliseconds: 200) { [weak self] in self?.drop(seconds: 0.2) }
        }
        for place in streams.indices { schedule(place, step: firstStep) }
    }

    /// Says goodbye on all connections.
    func stop() {
        for item in streams {
            loop.cancel(item.timer)
            for link in item.links { link.disconnect() }
        }
        absent = []
        publish()
    }

    private func repeatEvery(milliseconds: UInt64, _ body: @escaping () -> Void) {
        let holder = TimerHolder()
        let loop = loop
        holder.timer = loop.makeTimer {
            body()
            if let timer = holder.timer {
                loop.schedule(timer, afterNanoseconds: milliseconds * 1_000_000)
            }
        }
        if let timer = holder.timer { loop.schedule(timer, afterNanoseconds: 0) }
    }

    private final class TimerHolder {
        var timer: TimerID?
    }

    // MARK: Steps

    private func delay(of place: Int) -> Int64 {
        options.delay(ofStream: streams[place].number)
    }

    private func schedule(_ place: Int, step: Int64) {
        let now = Int64(loop.clock.realtimeNanoseconds / 1_000)
        let due = (step + delay(of: place)) * 1_000
        loop.schedule(
            streams[place].timer, afterNanoseconds: UInt64(max(0, due - now)) * 1_000)
    }

    private func step(_ place: Int) {
        let now = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        let due = now - delay(of: place)
        let step = due - due % options.resolution
        let item = streams[place]
        do throws(WireError) {
            try item.stream.record(
                step: step, readDelay: max(0, now - step), taken: loop.clock.monotonicNanoseconds)
        } catch {
            preconditionFailure("simulated node outgrew the wire's limits: \(error)")
        }
        for link in item.links { link.pump() }
        let after = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        let next = step + options.resolution
        let late = (after - delay(of: place) - next) / options.resolution
        if late > 0 { item.stream.skip(UInt64(late)) }
        schedule(place, step: next + max(0, late) * options.resolution)
        if !isMeasuring, step >= firstStep + options.warmUp {
            isMeasuring = true
            box.counters.latency = LatencyHistogram()
        }
    }

    // MARK: Coming and going

    private func reconnect() {
        let now = loop.now
        while let last = absent.last, last.returns <= now {
            absent.removeLast()
            last.link.connect()
        }
    }

    private func drop(seconds: Double) {
        let links = streams.reduce(0) { $0 + $1.links.count }
        dropDebt += Double(links) * options.dropsPerMinute / 100 * seconds / 60
        while dropDebt >= 1 {
            dropDebt -= 1
            let stream = streams[Int(random.next() % UInt64(streams.count))]
            guard !stream.links.isEmpty else { continue }
            let link = stream.links[Int(random.next() % UInt64(stream.links.count))]
            guard link.isStreaming else { continue }
            link.cut()
            absent.append((link, loop.now + random.next() % 20_000_000_000))
        }
        absent.sort { $0.returns > $1.returns }
    }

    private func publish() {
        var counters = box.counters
        counters.stepsSkipped = streams.reduce(0) { $0 + $1.stream.stepsSkipped }
        published.publish(counters)
    }
}
