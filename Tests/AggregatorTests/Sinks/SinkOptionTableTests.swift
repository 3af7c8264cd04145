import Testing

@testable import Aggregator

/// Every option of Heapster's and cAdvisor's sinks is there, in its spelling; what is not, is an error that
/// names what is near.
@Suite struct SinkOptionTableTests {
    /// A flag that is complete without options, and Heapster's options with a value that is allowed.
    private static let table: [(flag: String, options: [String])] = [
        ("log", []), ("metric", []),
        (
            "influxdb:http://h:8086",
            [
                "user=u", "pw=p", "db=d", "retention=0", "secure=false", "insecuressl=true",
                "withfields=true", "cluster_name=c", "disable_counter_metrics=true",
                "concurrency=2",
            ]
        ),
        (
            "elasticsearch:http://h:9200",
            [
                "nodes=http://a:9200", "index=i", "ver=5", "sniff=true", "healthCheck=false",
                "startupHealthcheckTimeout=1", "maxRetries=3", "bulkWorkers=5", "cluster_name=c",
                "esUserName=u&esUserSecret=s", "pipeline=p",
            ]
        ),
        (
            "kafka:",
            [
                "brokers=a:9092", "timeseriestopic=t", "eventstopic=e", "compression=lz4",
                "user=u&password=p", "cacert=/a", "cert=/c&key=/k", "insecuressl=true",
            ]
        ),
        ("graphite:tcp://h:2003", ["prefix=p"]),
        (
            "statsd:udp://h:8125",
            [
                "prefix=p", "protocolType=influxstatsd", "numMetricsPerMsg=7",
                "renameLabels=a:b,c:d", "allowedLabels=x,y", "labelStyle=upperCamelCase",
                "labelStyle=lowerCamelCase",
            ]
        ),
        ("opentsdb:http://h:4242", ["cluster=c"]),
        (
            "hawkular:http://h",
            [
                "tenant=t", "labelToTenant=l", "labelNodeId=l", "labelTagPrefix=p.",
                "useServiceAccount=true", "caCert=/a", "insecure=true", "user=u&pass=p",
                "filter=name(cpu*)", "filter=label(a:b)", "batchSize=10", "concurrencyLimit=2",
                "disablePreCache=true",
            ]
        ),
        (
            "wavefront:h:2878",
            ["clusterName=c", "prefix=p.", "includeLabels=true", "includeContainers=false"]
        ),
        ("riemann:http://h:5555", ["ttl=60", "state=ok", "tags=a&tags=b", "batchsize=10"]),
        (
            "librato:?username=u&token=t",
            ["prefix=p", "tags=a&tag_a=v", "api=http://h/"]
        ),
        ("honeycomb:?writekey=k", ["dataset=d", "apihost=http://h"]),
        ("gcm:?project=p", ["metrics=all", "metrics=autoscaling"]),
        (
            "stackdriver:?project=p",
            [
                "use_old_resources=false", "use_new_resources=true", "min_interval_sec=60",
                "batch_export_timeout_sec=60", "initial_delay_sec=5", "cluster_name=c",
                "cluster_location=l", "zone=z",
            ]
        ),
    ]

    private static func make(_ flag: String, _ option: String) throws(SinkConfigurationError)
        -> ConfiguredSink?
    {
        try ConfiguredSink.make(
            option.isEmpty ? flag : flag + (flag.contains("?") ? "&" : "?") + option)
    }

    @Test func heapstersOptionsAreTaken() throws {
        for (flag, options) in Self.table {
            for option in options + [""] {
                #expect(throws: Never.self, "\(flag) \(option)") {
                    _ = try Self.make(flag, option)
                }
            }
        }
    }

    @Test func whatEverySinkHasEverySinkTakes() throws {
        let common = [
            "interval=1m", "timeout=3s", "queue-bytes=1Mi", "metrics-deny=cpu/*", "labels=pod_*",
            "labels-deny=x", "cluster_name=c", "name=n",
        ]
        for (flag, _) in Self.table {
            for option in common {
                #expect(throws: Never.self, "\(flag) \(option)") {
                    _ = try Self.make(flag, option)
                }
            }
        }
        let sink = try #require(try ConfiguredSink.make("graphite:tcp://h:1?metrics=cpu/*"))
        #expect(sink.settings.filter != nil && sink.settings.timeoutMilliseconds == 20_000)
        #expect(sink.settings.intervalMilliseconds == 0 && sink.queueByteCountMax == nil)
    }

    /// An option with a letter too many is an error that names the right one, and never a value.
    @Test func anUnknownOptionIsAnErrorThatNamesWhatIsNear() throws {
        for (flag, options) in Self.table {
            for option in options {
                let name = String(option.prefix { $0 != "=" })
                guard name.count > 3, !name.hasPrefix("tag_") else { continue }
                let wrong = name.prefix(2) + "x" + name.dropFirst(2)
                let error = #expect(throws: SinkConfigurationError.self, "\(flag) \(wrong)") {
                    _ = try Self.make(flag, "\(wrong)=hunter2")
                }
                let text = error?.description ?? ""
                #expect(text.contains("did you mean \"\(name)\"?"), "\(text)")
                #expect(!text.contains("hunter2"))
            }
        }
        let unknown = #expect(throws: SinkConfigurationError.self) {
            _ = try ConfiguredSink.make("influx:http://h")
        }
        #expect(unknown?.description.contains("there is no sink \"influx\"") == true)
        let typo = #expect(throws: SinkConfigurationError.self) {
            _ = try ConfiguredSink.make("grafite:tcp://h:1")
        }
        #expect(typo?.description.contains("did you mean \"graphite\"?") == true)
    }

    @Test func namesThatAreNear() {
        let names = ["withfields", "password", "pw", "cluster_name"]
        let near = [
            "withFields": "withfields", "passwrod": "password", "clustername": "cluster_name",
            "with_field": "withfields", "pv": nil, "x": nil, "": nil, "passwordfile2": nil,
        ]
        for (written, expected) in near {
            let found = NearestName.of(written, among: names)
            #expect(found == expected, "\(written)")
        }
    }
}
