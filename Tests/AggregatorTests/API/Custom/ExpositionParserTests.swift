import Foundation
import TestSupport
import Testing

@testable import Aggregator

@Suite struct ExpositionParserTests {
    private func parse(
        _ text: String, _ format: ExpositionParser.Format = .prometheus
    ) throws -> [ExpositionSample] {
        try ExpositionParser.parse(Array(text.utf8), format)
    }

    /// The example of the format's own page, shortened.
    private static let example = #"""
        # HELP http_requests_total The total number of HTTP requests.
        # TYPE http_requests_total counter
        http_requests_total{method="post",code="200"} 1027 1395066363000
        http_requests_total{method="post",code="400"}    3 1395066363000

        # Escaping in label values:
        msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
        # Minimalistic line:
        metric_without_timestamp_and_labels 12.47
        something_weird{problem="division by zero"} +Inf -3982045
        # TYPE http_request_duration_seconds histogram
        http_request_duration_seconds_bucket{le="0.05",} 24054
        http_request_duration_seconds_sum 53423
        # TYPE rpc_duration_seconds summary
        rpc_duration_seconds{quantile="0.01"} 3102
        rpc_duration_seconds_count 2693

        """#

    @Test func theExampleOfTheFormatsPageIsReadAsItsTextSays() throws {
        let samples = try parse(Self.example)
        #expect(
            samples == [
                ExpositionSample(
                    name: "http_requests_total",
                    labels: [
                        Label(key: "method", value: "post"), Label(key: "code", value: "200"),
                    ], value: 1_027, time: 1_395_066_363_000, isCounter: true),
                ExpositionSample(
                    name: "http_requests_total",
                    labels: [
                        Label(key: "method", value: "post"), Label(key: "code", value: "400"),
                    ], value: 3, time: 1_395_066_363_000, isCounter: true),
                ExpositionSample(
                    name: "msdos_file_access_time_seconds",
                    labels: [
                        Label(key: "path", value: #"C:\DIR\FILE.TXT"#),
                        Label(key: "error", value: "Cannot find file:\n\"FILE.TXT\""),
                    ], value: 1_458_255_915, time: nil, isCounter: false),
                ExpositionSample(
                    name: "metric_without_timestamp_and_labels", labels: [], value: 12.47,
                    time: nil, isCounter: false),
                ExpositionSample(
                    name: "something_weird",
                    labels: [Label(key: "problem", value: "division by zero")], value: .infinity,
                    time: -3_982_045, isCounter: false),
                ExpositionSample(
                    name: "http_request_duration_seconds_bucket",
                    labels: [Label(key: "le", value: "0.05")], value: 24_054, time: nil,
                    isCounter: true),
                ExpositionSample(
                    name: "http_request_duration_seconds_sum", labels: [], value: 53_423,
                    time: nil, isCounter: true),
                ExpositionSample(
                    name: "rpc_duration_seconds", labels: [Label(key: "quantile", value: "0.01")],
                    value: 3_102, time: nil, isCounter: false),
                ExpositionSample(
                    name: "rpc_duration_seconds_count", labels: [], value: 2_693, time: nil,
                    isCounter: true),
            ])
    }

    @Test func openMetricsHasSecondsExemplarsAndAnEnd() throws {
        let text = """
            # TYPE foo counter
            # UNIT foo seconds
            foo_total{a="b"} 17.0 1520879607.789 # {trace_id="KOO"} 0.67 1520879606
            # EOF

            """
        let samples = try parse(text, .openMetrics)
        #expect(samples.map(\.time) == [1_520_879_607_789])
        #expect(samples.map(\.isCounter) == [true])
        #expect(throws: ExpositionError(line: 1, reason: "there is no \"# EOF\" at the end")) {
            try parse("foo 1\n", .openMetrics)
        }
        #expect(throws: ExpositionError.self) { try parse("# EOF\nfoo 1\n", .openMetrics) }
    }

    @Test(arguments: [
        ("a 1\n9a 1\n", 2, "a metric's name is missing"),
        ("a\n", 1, "\"\" is no value"),
        ("a one\n", 1, "\"one\" is no value"),
        ("a 0x10\n", 1, "\"0x10\" is no value"),
        ("a{b=1} 1\n", 1, "a label's value has no quotes"),
        ("a{b=\"1} 1\n", 1, "a label's value does not end"),
        ("a{b=\"1\" c=\"2\"} 1\n", 1, "neither \",\" nor \"}\" after the label b"),
        ("a{b=\"1\",b=\"2\"} 1\n", 1, "the label b is there twice"),
        ("a{b:c=\"1\"} 1\n", 1, "no \"=\" after b"),
        ("\n\na 1 2 3\n", 3, "something follows the value"),
        ("a 1 soon\n", 1, "\"soon\" is no timestamp"),
        ("# TYPE a gauge\n# TYPE a counter\n", 2, "a second TYPE of a"),
        ("# TYPE a gorge\n", 1, "\"gorge\" is no type of a metric"),
    ])
    func whatCannotBeReadIsNamedWithItsLine(text: String, line: Int, reason: String) {
        #expect(throws: ExpositionError(line: line, reason: reason)) { try parse(text) }
    }

    @Test func limitsHold() throws {
        var limits = ExpositionParser.Limits()
        (limits.sampleCountMax, limits.labelCountMax) = (2, 1)
        (limits.nameByteCountMax, limits.labelValueByteCountMax) = (3, 4)
        for (text, isGood) in [
            ("a 1\nb 2\n", true), ("a 1\nb 2\nc 3\n", false), ("a{b=\"1\",c=\"2\"} 1", false),
            ("abc 1", true), ("abcd 1", false), ("a{b=\"1234\"} 1", true),
            ("a{b=\"12345\"} 1", false),
        ] {
            let isRead: Bool
            do {
                _ = try ExpositionParser.parse(Array(text.utf8), limits: limits)
                isRead = true
            } catch {
                isRead = false
            }
            #expect(isRead == isGood, "\(text)")
        }
    }

    /// A text that ends anywhere is read up to there, or refused; what was read before stays.
    @Test func truncationAtEveryByteGivesAPrefixOrAnError() throws {
        let whole = Array(Self.example.utf8)
        let all = try ExpositionParser.parse(whole)
        var refusals = 0
        for end in whole.indices {
            do {
                let some = try ExpositionParser.parse(Array(whole[..<end]))
                // The last line may have lost digits of its value or timestamp.
                #expect(some.dropLast().elementsEqual(all.prefix(max(0, some.count - 1))))
            } catch {
                refusals += 1
            }
        }
        #expect(refusals > 100)
    }

    @Test func changedAndRandomBytesAreReadOrRefused() throws {
        var random = SeededRandom(seed: 1)
        let whole = Array(Self.example.utf8)
        let alphabet =
            Array("a_:{}=\",\\ \t\n#.0123456789eE+-NaInf\u{7f}\u{0}".utf8) + [0xFF, 0xC3]
        var outcomes = [0, 0]
        for round in 0..<20_000 {
            var bytes = whole
            if round % 2 == 0 {
                let place = Int.random(in: bytes.indices, using: &random)
                bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            } else {
                bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in
                    alphabet[Int.random(in: alphabet.indices, using: &random)]
                }
            }
            do {
                let samples = try ExpositionParser.parse(bytes)
                // What is read can be written and is read as the same.
                let again = try ExpositionParser.parse(Array(Self.text(samples).utf8))
                #expect(again.map(\.labels) == samples.map(\.labels), "round \(round)")
                #expect(again.map(\.time) == samples.map(\.time), "round \(round)")
                #expect(
                    again.map(\.value.bitPattern) == samples.map(\.value.bitPattern),
                    "round \(round)")
                outcomes[0] += 1
            } catch {
                outcomes[1] += 1
            }
        }
        #expect(outcomes.min() ?? 0 > 1_000, "\(outcomes)")
    }

    private static func text(_ samples: [ExpositionSample]) -> String {
        samples.map { sample in
            let labels = sample.labels.map {
                "\($0.key)=\"\(PrometheusText.escape($0.value, quotes: true))\""
            }
            let time = sample.time.map { " \($0)" } ?? ""
            let value = sample.value.isNaN ? "NaN" : "\(sample.value)"
            return "\(sample.name){\(labels.joined(separator: ","))} \(value)\(time)\n"
        }.joined()
    }
}
