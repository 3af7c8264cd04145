import Foundation
import Testing
import Wire

@testable import Aggregator

/// `--cluster-name` and the sinks' `cluster_name` in everything that leaves.
struct ClusterNameTests {
    /// One flag for each kind, written so that names can be read in its bytes.
    private static let flags = [
        "log:?", "stdout:?", "redis:h?", "influxdb:http://h?withfields=true",
        "influxdb:https://h?token=t&org=o&bucket=b", "graphite:tcp://h:2003?prefix=x",
        "statsd:udp://h?protocolType=influxstatsd", "statsd:udp://h?prefix=p",
        "opentsdb:http://h?", "remotewrite:http://h?", "remotewrite:http://h?version=2",
        "otlp:http://h?gzip=false", "elasticsearch:http://h?gzip=false",
        "opensearch:http://h?gzip=false", "kafka:?brokers=a:1&compression=none", "riemann:h?",
        "wavefront:h?", "hawkular:http://h?", "librato:?username=u&token=t",
        "honeycomb:?writekey=k", "stackdriver:?zone=z&project=p&use_new_resources=true",
        "gcm:?project=p", "bigquery:?project=p",
    ]

    private func text(_ flag: String, clusterName: String?) throws -> String {
        let sink = try #require(try ConfiguredSink.make(flag, clusterName: clusterName))
        var encoder = sink.plan.encoder
        var text = ""
        var batch = SinkRun.batch(1_795_248_080_000, pods: 1)
        // Cloud Monitoring takes little else.
        batch.sets[0].collectionStartTime = batch.timestamp - 60_000
        batch.sets[0].values.append(MetricSample(.cpuLimit, .integer(500)))
        encoder.encode(
            batch, filter: sink.settings.filter,
            cluster: sink.settings.cluster
        ) { text += String(decoding: $0.body, as: UTF8.self) }
        return text
    }

    @Test func everyKindSaysWhichClusterItIs() throws {
        let kinds = Set(try Self.flags.map { try SinkURI(parsing: $0).kind })
        #expect(kinds.union(["metric"]) == Set(SinkRegistry.definitions.map(\.kind)))
        for flag in Self.flags {
            let named = try text(flag, clusterName: "blue-7")
            #expect(named.contains("blue-7"), "\(flag): \(named.prefix(2_000))")
            let own = try text(flag + "&cluster_name=green-8", clusterName: "blue-7")
            #expect(own.contains("green-8") && !own.contains("blue-7"), "\(flag)")
        }
    }

    @Test func aNameIsOneLabelAndStandsInItsPlace() throws {
        let influx = try text("influxdb:http://h", clusterName: "c 1")
        #expect(influx.hasPrefix("cpu/usage,cluster_name=c\\ 1,container_name=app,"))
        let path = try text("graphite:tcp://h?prefix=x", clusterName: "eu.west")
        #expect(path.hasPrefix("x.eu_west."), "\(path.prefix(200))")
        let tags = try text("statsd:udp://h?protocolType=influxstatsd", clusterName: "c1")
        #expect(tags.matches(of: /cluster_name=c1/).count == SinkRun.pointsPerPod + 1)
        // Where nobody names the cluster nothing is made up for those that had no name in Heapster.
        for flag in ["log", "riemann:h", "honeycomb:?writekey=k", "graphite:tcp://h"] {
            #expect(try !text(flag, clusterName: nil).contains("cluster_name"), "\(flag)")
        }
    }

    @Test func aDeniedLabelStaysAtHome() throws {
        let flag = "honeycomb:?writekey=k&labels-deny=cluster_name"
        #expect(try !text(flag, clusterName: "c1").contains("cluster_name"))
    }

    @Test func theFlagReachesSinksAndExports() throws {
        func configuration(_ arguments: [String]) throws -> AggregatorConfiguration {
            try AggregatorConfiguration(
                CommandLine(arguments, flags: AggregatorConfiguration.flags))
        }
        let named = try configuration(["--sink=riemann:h", "--cluster-name=c1"])
        #expect(named.sinks.sinks[0].settings.cluster == Label(key: "cluster_name", value: "c1"))
        #expect(named.labels.options.clusterName == "c1")
        let plain = try configuration(["--sink=riemann:h"])
        #expect(plain.sinks.sinks[0].settings.cluster == nil)
        #expect(plain.labels.options.clusterName == nil)
        for bad in ["", "a b", "a\u{7}", String(repeating: "x", count: 254)] {
            #expect(throws: UsageError.self) { try configuration(["--cluster-name=\(bad)"]) }
        }
    }

    /// Each set of an export has the label once, in the order of keys.
    @Test func exportsHaveTheLabel() throws {
        let world = CycleFeederTests.World()
        try world.receive("a", at: CycleFeederTests.World.start + 10_000)
        try world.receive("a", at: CycleFeederTests.World.start + 20_000)
        let index = ClusterIndex(cluster: world.cluster, directory: PodDirectory())
        var options = BatchOptions()
        options.clusterName = "c1"
        let batch = try #require(ModelBatch.newest(index: index, options: options))
        var kinds: Set<EntityKind> = []
        batch.forEachSet { (set: borrowing MetricSet) in
            let keys = set.labels.map(\.key)
            #expect(keys == keys.sorted() && Set(keys).count == keys.count, "\(keys)")
            #expect(set.label("cluster_name") == "c1")
            kinds.insert(set.kind)
        }
        #expect(kinds.isSuperset(of: [.node, .pod, .namespace, .cluster]), "\(kinds)")
    }
}
