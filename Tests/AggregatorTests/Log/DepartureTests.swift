import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Lists of the past: who has gone is listed as long as the log has something of it.
@Suite struct DepartureTests {
    /// Pods that come and go, a log on a disk, and what answers from both.
    private final class Scene {
        let pods = OwnedPods()
        let folder: String
        let writer: LogWriter
        let committer: LogCommitter
        let history: LogHistory
        private let hands = ManualClock(realtimeNanoseconds: 1_000_000)
        private var plans: [OwnedPods.Plan] = []
        private var removed = Set<String>()

        init(log configuration: LogConfiguration = LogConfiguration()) throws {
            folder =
                FileManager.default.temporaryDirectory
                .appendingPathComponent("heapwire-gone-\(UUID().uuidString)").path
            let files = try DiskLogFiles(folder: folder)
            writer = LogWriter(files: files, firstSegment: 1, configuration: configuration)
            pods.cluster.attach(writer)
            let departures = try DepartureLog(files: files, firstSegment: 1)
            committer = LogCommitter(
                writer, pods.cluster, LogRetention(files: files, configuration: configuration),
                names: LogNames(pods.directory), departures: departures,
                try EventLoop(clock: .manual(hands)))
            let index = pods.api.index
            index.observeDepartures { departures.note($0) }
            committer.look { index.look() }
            history = Self.history(pods.api, folder)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        static func history(_ api: AggregatorAPI, _ folder: String) -> LogHistory {
            LogHistory(
                recent: ModelHistory(reader: api.reader, index: api.index),
                archive: LogArchive(folder: folder, configuration: api.cluster.configuration))
        }

        func add(_ name: String, in namespace: String, on node: String, _ cycles: ClosedRange<Int>)
        {
            let plan = OwnedPods.Plan(
                uid: "uid-\(name)", node: node, workload: nil, cycles: cycles,
                hasOwnFigures: true, cpuRequest: 10, gpuRequest: 0)
            plans.append(plan)
            pods.add(plan, name: name, namespace: namespace, controller: nil)
        }

        func run(_ cycles: ClosedRange<Int>) throws {
            for number in cycles {
                hands.setRealtime(nanoseconds: UInt64(pods.cycle(number)) * 1_000_000)
                try pods.feed(number, plans)
                for plan in plans where plan.cycles.upperBound < number {
                    guard removed.insert(plan.uid).inserted else { continue }
                    pods.directory.apply(
                        .podRemoved(ObjectUID(plan.uid)), now: pods.cycle(number))
                }
                committer.commit()
            }
        }
    }

    /// 20 minutes, with a window of 15.
    private func scene(log: LogConfiguration = LogConfiguration()) throws -> Scene {
        let scene = try Scene(log: log)
        scene.add("stays", in: "shop", on: "n1", 1...1_000)
        scene.add("went", in: "shop", on: "n1", 1...3)
        scene.add("went-later", in: "shop", on: "n1", 50...118)
        scene.add("job", in: "batch", on: "n2", 2...5)
        try scene.run(1...120)
        return scene
    }

    @Test func whoHasGoneIsListedWithItsMetricsAndSeries() throws {
        let scene = try scene()
        let history = scene.history
        #expect(ModelLists(index: scene.pods.api.index).pods(in: "shop") == ["stays"])
        #expect(try history.pods(in: "shop") == ["stays", "went", "went-later"])
        #expect(try history.pods(in: "batch") == ["job"])
        #expect(try history.namespaces() == ["batch", "shop"])
        #expect(try history.nodes() == ["n1", "n2"])
        #expect(
            try history.containers(namespace: "shop", pod: "went")
                == ["main", "uid-went-x", "uid-went-y"])
        #expect(try history.pods(in: "nobody") == [])
        let pod = Entity.pod(namespace: "shop", name: "went")
        let names = try history.metricNames(of: pod)
        #expect(names.contains("memory/usage") && names.contains("cpu/usage_rate"))
        // By its UID, it has what its node told of it.
        let byUID = try history.metricNames(
            of: .pod(namespace: unknownNamespace, name: "uid-went"))
        #expect(byUID.contains("memory/usage") && Set(byUID).isSubset(of: names))
        #expect(try history.metricNames(of: .namespace("batch")).contains("memory/usage"))
        #expect(try history.metricNames(of: .pod(namespace: "shop", name: "nobody")) == [])
        for name in ["went", "went-later", "stays"] {
            let found = try history.series(
                HistoricalQuestion(
                    metric: "memory/usage", entities: [.pod(namespace: "shop", name: name)],
                    labels: [:], start: OwnedPods.start, end: .max, pointCountMax: 10_000))
            let expected = scene.pods.sum("memory/usage") { $0.uid == "uid-\(name)" }
            #expect(!expected.isEmpty)
            #expect(
                Dictionary(uniqueKeysWithValues: found[0].map { ($0.cycle, $0.value.double) })
                    == expected)
        }
    }

    @Test func theyAreListedAfterARestart() throws {
        let scene = try scene()
        let directory = PodDirectory()
        let cluster = Cluster(configuration: scene.pods.cluster.configuration, facts: directory)
        let report = try LogRestorer(
            files: try DiskLogFiles(folder: scene.folder), cluster: cluster, directory: directory
        ).restore()
        let api = AggregatorAPI(
            cluster: cluster, ingest: IngestCounters(),
            metadata: MetadataMetrics(directory: directory, status: nil))
        let history = Scene.history(api, scene.folder)
        #expect(try history.pods(in: "shop") == ["stays", "went", "went-later"])
        #expect(try history.namespaces() == ["batch", "shop"])
        // The next process writes a file of its own.
        let next = try DepartureLog(
            files: try DiskLogFiles(folder: scene.folder), firstSegment: report.nextSegment)
        next.note([departure("afterwards", time: scene.pods.cycle(120))])
        next.commit(segment: report.nextSegment)
        #expect(
            try history.pods(in: "shop") == ["afterwards", "stays", "went", "went-later"])
    }

    /// With the segments that have something of them.
    @Test func whoIsNoLongerInTheLogIsNotListed() throws {
        var log = LogConfiguration()
        log.segmentMilliseconds = 60_000
        log.retention = 300_000
        let scene = try scene(log: log)
        let files = try DiskLogFiles(folder: scene.folder)
        try LogRetention(files: files, configuration: log).apply(now: scene.pods.cycle(120))
        #expect(try scene.history.pods(in: "shop") == ["stays", "went-later"])
        #expect(try scene.history.pods(in: "batch") == [])
        let oldest = try #require(try LogReader(files: files).segments().first)
        #expect(oldest > 1)
        #expect(
            try files.list().compactMap { LogSegment.number($0, .departures) }
                .allSatisfy { $0 >= oldest })
    }

    private func departure(_ name: String, time: Int64) -> Departure {
        Departure(
            time: time, node: "n1", hostname: "host",
            pod: .init(namespace: "shop", name: name, uid: "u"),
            containers: ["main"])
    }

    @Test func aDiskThatFailsAtAnyCallLosesNoDeparture() throws {
        for call in 1...3 {
            let files = FaultyLogFiles()
            let log = try DepartureLog(files: files, firstSegment: 7)
            files.failingCall = files.callCount + call
            files.shortBytes = 5
            log.note([departure("a", time: 1)])
            log.commit(segment: 7)
            log.note([departure("b", time: 2)])
            log.commit(segment: 7)
            var found: [String] = []
            var reader = LogReader(files: files)
            for name in files.files.keys.sorted() {
                try reader.read(file: name) { record in
                    let decoded = try? Departure(decoding: record.payload)
                    found.append(decoded?.pod?.name ?? "damaged")
                }
            }
            // One that was written and not synced is written again.
            #expect(Set(found) == ["a", "b"], "call \(call)")
            #expect(log.lostCount == 0)
        }
    }

    @Test func anyBytesAreDecodedOrRefused() throws {
        var bytes: [UInt8] = []
        departure("a", time: -5).encode(into: &bytes)
        #expect(
            try bytes.withUnsafeBytes { try Departure(decoding: $0) } == departure("a", time: -5))
        for count in 0..<bytes.count {
            #expect(throws: WireError.self) {
                try bytes[..<count].withUnsafeBytes { try Departure(decoding: $0) }
            }
        }
        var random = SeededRandom(seed: 11)
        for _ in 0..<2_000 {
            var changed = bytes
            changed[Int.random(in: 0..<bytes.count, using: &random)] = .random(
                in: 0...255, using: &random)
            // Never traps; most are refused.
            _ = try? changed.withUnsafeBytes { try Departure(decoding: $0) }
        }
    }
}
