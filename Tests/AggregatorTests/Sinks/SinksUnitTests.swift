import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

struct SinksUnitTests {
    // MARK: Configuration

    @Test func everyKindIsMadeOfItsFlag() throws {
        let flags = [
            "log", "stdout:", "influxdb:http://h:8086?user=u&pw=p&db=d&retention=7d&withfields=1",
            "influxdb:https://h?token=t&org=o&bucket=b", "graphite:tcp://h:2003?prefix=x",
            "statsd:udp://h:8125?protocolType=influxstatsd&renameLabels=a:b&allowedLabels=a,b",
            "opentsdb:http://h:4242?cluster=c", "remotewrite:http://h/api/v1/write?version=2",
            "otlp:http://h:4318", "elasticsearch:http://h:9200?nodes=http://a:1&nodes=https://b:2",
            "opensearch:https://h:9200?api_key=x", "kafka:?brokers=a:1&brokers=b:2&compression=lz4",
            "redis:h:6379", "riemann:http://h:5555?ttl=60&tags=a&tags=b", "wavefront:h:2878",
            "hawkular:http://h?filter=name(custom/*)&filter=label(namespace_name:kube-*)",
            "librato:?username=u&token=t&tags=a&tag_a=v", "honeycomb:?writekey=k&dataset=d",
            "stackdriver:?zone=z&cluster_name=c&project=p", "gcm:?metrics=autoscaling",
            "bigquery:?project=p&dataset=d&table=t",
        ]
        for flag in flags {
            let sink = try ConfiguredSink.make(
                flag + (flag.contains("?") ? "&" : "?") + "timeout=3s&name=n")
            #expect(sink?.settings.timeoutMilliseconds == 3_000, "\(flag)")
        }
        #expect(try ConfiguredSink.make("metric") == nil)
        #expect(Set(SinkRegistry.definitions.map(\.kind)).count == SinkRegistry.definitions.count)
    }

    @Test func mistakesAreNamedAndSecretsAreNot() throws {
        func message(_ flag: String) -> String {
            do throws(SinkConfigurationError) {
                _ = try ConfiguredSink.make(flag, environment: { _ in nil })
                return "no error"
            } catch {
                return error.description
            }
        }
        #expect(
            message("influx:http://h").contains(
                "there is no sink \"influx\" (did you mean \"influxdb\"?); there are bigquery"))
        let unknown = message("influxdb:http://h?pw=hunter2&passwd=hunter2")
        #expect(unknown.contains("no option \"passwd\"") && unknown.contains("pwfile"))
        for flag in [
            "influxdb:http://h?pw=hunter2&withfields=maybe", "influxdb:http://u:hunter2@h",
            "influxdb:http://h?pw=hunter2&pwfile=/x", "influxdb:http://h?pw=hunter2&pw=hunter2",
            "influxdb:http://h?pw=${NOT_THERE}hunter2", "influxdb:ftp://h?pw=hunter2",
            "influxdb:http://h?name=../x&pw=hunter2", "librato:?username=u",
            "graphite:http://h", ":?pw=hunter2", "kafka:?brokers=:&password=hunter2",
        ] {
            let text = message(flag)
            #expect(text != "no error" && !text.contains("hunter2"), "\(flag): \(text)")
        }
    }

    @Test func addressesAndOptionsAreTakenApart() throws {
        let uri = try SinkURI(
            parsing: "influxdb:https://[2001:db8::1]:8086/x/?db=a%20b+c%2Bd&pw=${PASSWORD}!",
            environment: { $0 == "PASSWORD" ? "s&t" : nil })
        #expect(uri.kind == "influxdb" && uri.scheme == "https" && uri.host == "2001:db8::1")
        #expect(uri.port == 8_086 && uri.path == "/x/")
        #expect(uri.options.map(\.value) == ["a b c+d", "s&t!"])
        #expect(uri.shown == "influxdb:https://[2001:db8::1]:8086/x/")
        let plain = try SinkURI(parsing: "wavefront:1.2.3.4:2878?prefix=p")
        #expect(plain.host == "1.2.3.4" && plain.port == 2_878 && plain.scheme == "")
        #expect("\(Secret.value("hunter2"))" == "***")
    }

    @Test func filtersLeaveOutMetricsAndLabels() throws {
        let sink = try #require(
            try ConfiguredSink.make(
                "influxdb:http://h?metrics=cpu/*,memory/usage&metrics-deny=cpu/*_rate"
                    + "&labels=pod_*,type&cluster_name=c"))
        var encoder = sink.plan.encoder
        var lines: [String] = []
        let batch = SinkRun.batch(1_795_248_080_000, pods: 1)
        encoder.encode(batch, filter: sink.settings.filter) {
            lines += String(decoding: $0.body, as: UTF8.self).split(separator: "\n").map(
                String.init)
        }
        #expect(
            lines == [
                "cpu/usage,cluster_name=c,pod_name=web-0,type=pod_container value=248080000000i 1795248080000000000"
                    .replacingOccurrences(
                        of: "248080000000i", with: "\(1_795_248_080_000 % 1_000_000 * 1_000)i"),
                "memory/usage,cluster_name=c,pod_name=web-0,type=pod_container value=1048576i 1795248080000000000",
            ])
    }

    // MARK: Numbers

    @Test func numbersAreWrittenAsCAndGoWriteThem() throws {
        var random = SeededRandom(seed: 42)
        var values: [Double] = [
            0, -0.0, 0.5, 1.5, 0.0000005, 0.0000015, 1e-7, 123456.7890125, 1e21, 1e-300,
            .leastNonzeroMagnitude, 0.1 + 0.2,
        ]
        for _ in 0..<20_000 {
            values.append(
                Double(random.next() % 1_000_000_000) / Double(random.next() % 999_983 + 1))
        }
        for _ in 0..<20_000 {
            let any = Double(bitPattern: random.next())
            if any.isFinite { values.append(any) }
        }
        for _ in 0..<5_000 { values.append(Double(random.next() % 10_000_000) / 1_048_576 / 2) }
        for value in values {
            var six: [UInt8] = []
            SinkText.append(sixDecimals: value, to: &six)
            if value.magnitude < 0x1p53 {
                #expect(
                    String(decoding: six, as: UTF8.self) == String(format: "%.6f", value),
                    "\(value)")
            }
            var plain: [UInt8] = []
            SinkText.append(plain: value, to: &plain)
            let text = String(decoding: plain, as: UTF8.self)
            #expect(
                Double(text) == value && !text.contains("e") && !text.hasSuffix(".0"),
                "\(value) \(text)")
        }
    }

    // MARK: Remote write, OTLP

    /// Series by their labels, as an independent reader of the documented messages sees them.
    private static func series(_ batch: RecordedBatch, _ encoder: some SinkEncoder) throws
        -> [String: Double]
    {
        var found: [String: Double] = [:]
        for request in HeapsterGolden.requests(batch, encoder) {
            let body = try #require(unpackSnappy(request.body))
            let fields = try ProtobufReader.fields(body)
            let symbols = fields.filter { $0.number == 4 }.map(\.text)
            for one in fields where one.number == 1 || one.number == 5 {
                var labels: [(String, String)] = []
                var value = Double.nan
                for part in try ProtobufReader.fields(one.bytes) {
                    if part.number == 1, one.number == 1 {
                        let pair = try ProtobufReader.fields(part.bytes)
                        labels.append((pair[0].text, pair[1].text))
                    } else if part.number == 1 {
                        // Packed references: a row of varints, read as fields would be.
                        var references: [Int] = []
                        var (number, shift) = (0, 0)
                        for byte in part.bytes {
                            number |= Int(byte & 0x7F) << shift
                            shift += 7
                            if byte < 0x80 {
                                references.append(number)
                                (number, shift) = (0, 0)
                            }
                        }
                        for index in stride(from: 0, to: references.count, by: 2) {
                            labels.append(
                                (symbols[references[index]], symbols[references[index + 1]]))
                        }
                    } else if part.number == 2 {
                        let sample = try ProtobufReader.fields(part.bytes)
                        value = sample[0].double
                        #expect(Int64(bitPattern: sample[1].value) == batch.timestamp)
                    }
                }
                #expect(
                    labels.map(\.0) == labels.map(\.0).sorted()
                        && Set(labels.map(\.0)).count == labels.count)
                found[labels.map { "\($0.0)=\($0.1)" }.joined(separator: ",")] = value
            }
        }
        return found
    }

    /// Written after the description of the format: literals and copies.
    private static func unpackSnappy(_ bytes: [UInt8]) -> [UInt8]? {
        var index = 0
        var length = 0
        var shift = 0
        while index < bytes.count {
            length |= Int(bytes[index] & 0x7F) << shift
            shift += 7
            index += 1
            if bytes[index - 1] < 0x80 { break }
        }
        var result: [UInt8] = []
        func number(_ count: Int) -> Int {
            defer { index += count }
            return bytes[index..<(index + count)].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        while index < bytes.count {
            let tag = bytes[index]
            index += 1
            var count = Int(tag >> 2) + 1
            var distance = 0
            switch tag & 3 {
            case 0:
                if count > 60 { count = number(count - 60) + 1 }
                result += bytes[index..<(index + count)]
                index += count
                continue
            case 1:
                count = Int(tag >> 2 & 7) + 4
                distance = Int(tag >> 5) << 8 | number(1)
            case 2: distance = number(2)
            default: distance = number(4)
            }
            guard distance > 0, distance <= result.count else { return nil }
            for _ in 0..<count { result.append(result[result.count - distance]) }
        }
        return result.count == length ? result : nil
    }

    @Test func remoteWriteOneAndTwoSayTheSame() throws {
        let batch = SinkRun.batch(1_795_248_080_000, pods: 40)
        let options = RemoteWriteEncoder.Options(clusterName: "c1", sendsObjectLabels: true)
        let first = try Self.series(batch, RemoteWriteEncoder(options))
        let second = try Self.series(batch, RemoteWrite2Encoder(options))
        #expect(first.count == 200 && first == second)
        let key =
            "__name__=heapwire_container_cpu_usage_seconds_total,cluster=c1,container=app,label_app=web,"
            + "label_tier=front end,namespace=default,node=node-a,pod=web-7,uid=uid-7"
        let expected = Double(1_795_248_080_000 % 1_000_000 * 1_000) * 1e-9
        #expect(first[key] == expected)
        #expect(
            first.keys.contains {
                $0.hasPrefix("__name__=heapwire_container_filesystem_usage_bytes,")
                    && $0.contains(",resource_id=logs,")
            })
    }

    @Test func otlpHasResourcesMetricsAndPoints() throws {
        let batch = SinkRun.batch(1_795_248_080_000, pods: 3)
        let request = try #require(
            HeapsterGolden.requests(batch, OTLPEncoder(clusterName: "c1", packing: .none)).first)
        let resources = try ProtobufReader.fields(request.body)
        #expect(resources.count == 3 && request.pointCount == 15)
        let parts = try ProtobufReader.fields(resources[1].bytes)
        func attributes(_ fields: [ProtobufReader.Field], _ number: Int) throws -> [String: String]
        {
            var found: [String: String] = [:]
            for field in fields where field.number == number {
                let pair = try ProtobufReader.fields(field.bytes)
                found[pair[0].text] = try ProtobufReader.fields(pair[1].bytes)[0].text
            }
            return found
        }
        let resource = try attributes(try ProtobufReader.fields(parts[0].bytes), 1)
        #expect(resource["k8s.pod.name"] == "web-1" && resource["k8s.cluster.name"] == "c1")
        #expect(resource["k8s.pod.label.tier"] == "front end" && resource["k8s.pod.uid"] == "uid-1")
        var names: [String: (unit: String, kind: Int)] = [:]
        for metric in try ProtobufReader.fields(parts[1].bytes) where metric.number == 2 {
            let fields = try ProtobufReader.fields(metric.bytes)
            let name = try #require(fields.first { $0.number == 1 }).text
            let unit = try #require(fields.first { $0.number == 3 }).text
            let data = try #require(fields.first { $0.number == 5 || $0.number == 7 })
            let point = try #require(try ProtobufReader.fields(data.bytes).first { $0.number == 1 })
            let time = try ProtobufReader.fields(point.bytes).first { $0.number == 3 }?.value
            #expect(time == 1_795_248_080_000_000_000)
            names[name] = (unit, data.number)
        }
        #expect(names["container.cpu.time"]?.unit == "s" && names["container.cpu.time"]?.kind == 7)
        #expect(
            names["container.memory.usage"]?.unit == "By"
                && names["container.memory.usage"]?.kind == 5)
        #expect(names["container.filesystem.usage"] != nil && names.count == 5)
    }

    /// `metrics` is one of gcm's own options; the other lists are not.
    @Test func everySinkHasTheLists() throws {
        let lists = "metrics-deny=cpu/*&labels-deny=pod_id"
        let gcm = try #require(try ConfiguredSink.make("gcm:?project=p&metrics=all&\(lists)"))
        let filter = try #require(gcm.settings.filter)
        #expect(filter.metrics.isEmpty && filter.deniedMetrics == [NamePattern("cpu/*")])
        #expect(filter.deniedLabels == [NamePattern("pod_id")])
        let other = try #require(try ConfiguredSink.make("stdout:?metrics=cpu/*"))
        #expect(other.settings.filter?.metrics == [NamePattern("cpu/*")])
    }

    // MARK: Kafka, credentials

    @Test func partitionsAreTheJavaClients() {
        // From Apache Kafka's own test of murmur2 (UtilsTest).
        let cases: [(String, Int32)] = [
            ("21", -973_932_308), ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ]
        for (text, expected) in cases {
            #expect(
                Int32(bitPattern: KafkaRecordBatch.murmur2(Array(text.utf8)[...])) == expected,
                "\(text)")
        }
    }

    @Test func scramAnswersAsTheStandardsExample() throws {
        // RFC 7677, 3.
        var client = ScramClient(
            user: "user", password: Array("pencil".utf8), nonce: "rOprNGfwEbeRWgbNEkqO",
            hash: .sha256)
        #expect(client.first == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        let challenge =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        let answer = try client.answer(challenge)
        #expect(
            answer == "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                + "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        try client.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        #expect(throws: SinkError.self) { try client.verify("v=AAAA") }
        #expect(throws: SinkError.self) { try client.answer("r=other,s=AA==,i=1") }
    }

    @Test func base64IsReadBack() {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            let text = Base64.encode(bytes)
            #expect(text == Data(bytes).base64EncodedString())
            #expect(Base64.decode(text.utf8) == bytes)
        }
    }

    // MARK: Machinery

    @Test func backOffDoublesToAMinuteAndObeysTheBackend() {
        var schedule = RetrySchedule()
        var delays: [UInt64] = []
        for _ in 0..<9 {
            schedule.failed(now: 0, retryAfterSeconds: nil, random: 0)
            delays.append(schedule.notBefore / 1_000_000_000)
        }
        #expect(delays == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        schedule.succeeded()
        schedule.failed(now: 0, retryAfterSeconds: nil, random: 1)
        #expect(schedule.notBefore == 750_000_000)
        schedule.failed(now: 0, retryAfterSeconds: 1_000_000, random: 0)
        #expect(schedule.notBefore == 600_000_000_000)
    }

    @Test func deadLettersAreBounded() throws {
        let files = FaultyFiles()
        var letters = DeadLetters(files: files, byteCountMax: 1_000)
        for number in 0..<50 {
            try letters.add(
                SinkRequest(cycle: 0, pointCount: number, body: Array("body \(number)\n".utf8)),
                reason: "because\nof this", nowMilliseconds: 0)
        }
        #expect(letters.count == 50)
        #expect(Set(files.contents.keys) == ["refused", "refused.1"])
        #expect(files.contents.values.allSatisfy { $0.count <= 1_000 })
        let text = String(decoding: files.contents["refused"] ?? [], as: UTF8.self)
        #expect(
            text.contains("1970-01-01T00:00:00Z 8 bytes, 49 points: because of this\nbody 49\n"))
    }

    @Test func bulkItemsAreToldApart() throws {
        let answer = """
            {"took":1,"errors":true,"items":[{"index":{"_id":"a","status":201}},
            {"index":{"_id":"b","status":429,"error":{"type":"es_rejected_execution_exception"}}},
            {"index":{"_id":"c","status":400,"error":{"type":"mapper_parsing_exception","reason":"no","caused_by":{"type":"x"}}}},
            {"create":{"_id":"d","status":409,"error":{"type":"version_conflict_engine_exception"}}}]}
            """
        let failures = try #require(BulkAnswer.failures(in: Array(answer.utf8)))
        #expect(failures.map(\.item) == [1, 2])
        let request = SinkRequest(
            cycle: 5, pointCount: 9, body: Array("a\nA\nb\nB\nc\nC\nd\nD\n".utf8))
        #expect(
            BulkAnswer.outcome(of: request, failures: failures)
                == .partly(
                    remaining: SinkRequest(cycle: 5, pointCount: 1, body: Array("b\nB\n".utf8)),
                    refused: SinkRequest(cycle: 5, pointCount: 1, body: Array("c\nC\n".utf8)),
                    reason: "2 items failed, the first with 429 es_rejected_execution_exception"))
        for count in 0..<answer.utf8.count {
            let cut = BulkAnswer.failures(in: Array(answer.utf8.prefix(count)))
            #expect(cut == nil)
        }
    }
}
