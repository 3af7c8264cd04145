import TestSupport
import Testing
import Wire

@testable import Aggregator

/// `/livez` and `/readyz` beside what metrics-server and the apiserver's own library answer: statuses,
/// words and lines as `k8s.io/apiserver/pkg/server/healthz` writes them.
@Suite struct HealthAPITests {
    private static let start: Int64 = 1_767_225_600_000
    private static let resolution: Int64 = 10_000

    /// A node's frames, an apiserver's lists, a clock: each turned by hand.
    private final class World {
        let cluster: Cluster
        let directory = PodDirectory()
        let status: SourceStatus?
        let clock = ManualClock()
        let router: Router
        private let agent = SyntheticNode("n1")
        private let model: NodeModel

        init(hasApiserver: Bool) throws {
            var configuration = ModelConfiguration()
            configuration.resolution = HealthAPITests.resolution
            cluster = Cluster(configuration: configuration, facts: directory)
            status = hasApiserver ? SourceStatus() : nil
            clock.setRealtime(nanoseconds: UInt64(HealthAPITests.start) * 1_000_000)
            router = AggregatorAPI(
                cluster: cluster, ingest: IngestCounters(),
                metadata: MetadataMetrics(directory: directory, status: status),
                clock: .manual(clock)
            ).router()
            model = try #require(cluster.enter(agent.hello, now: HealthAPITests.start)?.0)
            _ = model.begin(agent.hello)
            try agent.add(0, Subject(kind: .node), [.cpuUsage, .memoryWorkingSet])
        }

        func step(_ number: Int64) throws {
            agent.set(0, .cpuUsage, number * 1_000_000)
            let step = HealthAPITests.start + number * HealthAPITests.resolution
            try model.receive(agent.frame(step: step))
            clock.setRealtime(nanoseconds: UInt64(step) * 1_000_000)
        }

        func list(_ resource: WatchedResource) {
            status?.update(resource) { $0.listed = HealthAPITests.start }
        }

        func ask(_ target: String) throws -> String {
            let answer = try RoutedAnswer(router, target)
            return "\(answer.status.code) \(String(decoding: answer.body, as: UTF8.self))"
        }
    }

    @Test func readyWhenThereAreRatesAndNames() throws {
        let world = try World(hasApiserver: true)
        #expect(
            try world.ask("/readyz") == """
                500 [+]ping ok
                [-]metric-storage-ready failed: reason withheld
                [-]metadata-informer-sync failed: reason withheld
                [-]metric-informer-sync failed: reason withheld
                readyz check failed

                """)
        try world.step(0)
        #expect(
            try world.ask("/readyz/metric-storage-ready")
                == "500 internal server error: no metrics to serve\n")
        // A second cycle: now there are rates.
        try world.step(1)
        #expect(try world.ask("/readyz/metric-storage-ready") == "200 ok")
        for resource in WatchedResource.all where !resource.isOptional {
            #expect(try world.ask("/readyz").hasPrefix("500 "))
            #expect(
                try world.ask("/readyz/metadata-informer-sync")
                    == "500 internal server error: the apiserver's lists are not complete yet\n")
            world.list(resource)
        }
        #expect(try world.ask("/readyz") == "200 ok")
        #expect(
            try world.ask("/readyz?verbose") == """
                200 [+]ping ok
                [+]metric-storage-ready ok
                [+]metadata-informer-sync ok
                [+]metric-informer-sync ok
                readyz check passed

                """)
        // Nothing came for longer than three minutes.
        world.clock.advance(nanoseconds: 180_001_000_000)
        #expect(try world.ask("/readyz").hasPrefix("500 "))
        #expect(try world.ask("/livez") == "200 ok")
    }

    @Test func withoutAnApiserverNamesAreNotWaitedFor() throws {
        let world = try World(hasApiserver: false)
        #expect(try world.ask("/readyz").hasPrefix("500 "))
        try world.step(0)
        try world.step(1)
        #expect(try world.ask("/readyz") == "200 ok")
    }

    @Test func checksAreAskedAloneAndPassedOver() throws {
        let world = try World(hasApiserver: false)
        #expect(
            try world.ask("/readyz?exclude=metric-storage-ready&verbose=1&exclude=none") == """
                200 [+]ping ok
                [+]metric-storage-ready excluded: ok
                [+]metadata-informer-sync ok
                [+]metric-informer-sync ok
                warn: some health checks cannot be excluded: no matches for "none"
                readyz check passed

                """)
        #expect(try world.ask("/readyz?exclude=ping").hasPrefix("500 "))
        #expect(try world.ask("/readyz/ping") == "200 ok")
        #expect(try world.ask("/livez/ping") == "200 ok")
        for path in ["/readyz/none", "/livez/metric-storage-ready"] {
            #expect(try world.ask(path) == "404 404 page not found\n")
        }
    }

    @Test func notAliveWhenTheModelIsNotLookedAfter() throws {
        let world = try World(hasApiserver: false)
        let keeper = ModelKeeper(world.cluster, memory: nil, clock: .manual(world.clock))
        #expect(try world.ask("/livez") == "200 ok")
        // The clock's zero stands for never.
        world.clock.advance(nanoseconds: 1_000_000_000)
        keeper.turn()
        world.clock.advance(nanoseconds: 60_000_000_000)
        #expect(
            try world.ask("/livez?verbose")
                == "200 [+]ping ok\n[+]metric-collection-timely ok\nlivez check passed\n")
        world.clock.advance(nanoseconds: 1_000_000)
        #expect(
            try world.ask("/livez") == """
                500 [+]ping ok
                [-]metric-collection-timely failed: reason withheld
                livez check failed

                """)
        #expect(
            try world.ask("/livez/metric-collection-timely")
                == "500 internal server error: the model was not looked after in time\n")
        keeper.turn()
        #expect(try world.ask("/livez") == "200 ok")
    }
}
