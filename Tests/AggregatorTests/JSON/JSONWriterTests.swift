import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct JSONWriterTests {
    private func text(_ style: JSONWriter.Style = .compact, _ write: (inout JSONWriter) -> Void)
        -> String
    {
        var writer = JSONWriter(style)
        write(&writer)
        return writer.text
    }

    @Test func indentedTextIsLaidOutAsHeapstersAnswers() {
        let series = text(.indented) { json in
            json.beginObject()
            json.key("metrics")
            json.beginArray()
            for value in [2988, 2822] as [UInt64] {
                json.beginObject()
                json.key("timestamp")
                json.time(milliseconds: 1_795_248_090_000)
                json.key("value")
                json.unsigned(value)
                json.endObject()
            }
            json.endArray()
            json.key("latestTimestamp")
            json.time(milliseconds: RFC3339.goZeroMilliseconds)
            json.endObject()
        }
        #expect(
            series == """
                {
                  "metrics": [
                   {
                    "timestamp": "2026-11-21T08:01:30Z",
                    "value": 2988
                   },
                   {
                    "timestamp": "2026-11-21T08:01:30Z",
                    "value": 2822
                   }
                  ],
                  "latestTimestamp": "0001-01-01T00:00:00Z"
                 }
                """)
        #expect(
            text(.indented) { json in
                json.beginObject()
                json.key("a")
                json.beginArray()
                json.endArray()
                json.key("b")
                json.beginObject()
                json.endObject()
                json.endObject()
            } == "{\n  \"a\": [],\n  \"b\": {}\n }")
    }

    /// Every recorded answer of Heapster's model API that is JSON, read and written again.
    @Test func recordedAnswersAreWrittenByteForByte() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("../shared/golden/heapster/summary").standardizedFileURL
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path) else {
            print("skipped: no recorded answers at \(folder.path)")
            return
        }
        var counts = [0, 0]
        for name in names.sorted() where name.hasSuffix(".raw") {
            let bytes = Array(try Data(contentsOf: folder.appendingPathComponent(name)))
            guard let first = bytes.first, first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
            else { continue }
            let isIndented = bytes.last != 0x0A
            let written = try bytes.withUnsafeBytes { bytes in
                var writer = JSONWriter(isIndented ? .indented : .compact)
                var json = JSONScanner(bytes)
                try Self.copy(&json, into: &writer)
                return writer.bytes + (isIndented ? [] : [0x0A])
            }
            #expect(written == bytes, "\(name)")
            counts[isIndented ? 0 : 1] += 1
        }
        #expect(counts[0] > 10 && counts[1] > 2)
    }

    private static func copy(
        _ json: inout JSONScanner, into writer: inout JSONWriter
    ) throws(JSONError) {
        switch try json.peek() {
        case UInt8(ascii: "{"):
            writer.beginObject()
            try json.beginObject()
            while let key = try json.nextKey() {
                writer.key(key.string)
                try copy(&json, into: &writer)
            }
            writer.endObject()
        case UInt8(ascii: "["):
            writer.beginArray()
            try json.beginArray()
            while try json.nextElement() { try copy(&json, into: &writer) }
            writer.endArray()
        case UInt8(ascii: "\""): writer.string(try json.string().string)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): writer.boolean(try json.boolean())
        case UInt8(ascii: "n"): if try json.takeNull() { writer.null() }
        default:
            let number = try json.number()
            if let value = number.int64 {
                writer.integer(value)
            } else if let value = UInt64(String(decoding: number.raw, as: UTF8.self)) {
                writer.unsigned(value)
            } else {
                writer.double(number.double)
            }
        }
    }

    /// What Go's `encoding/json` prints; the layout rules are in its `floatEncoder`.
    @Test(
        arguments: [
            (0, "0"), (-0.0, "-0"), (1, "1"), (-1, "-1"), (0.1, "0.1"), (1.5, "1.5"), (100, "100"),
            (0.000001, "0.000001"), (0.0000015, "0.0000015"), (1e-7, "1e-7"), (9.5e-7, "9.5e-7"),
            (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.5e300, "1.5e+300"),
            (Double.leastNonzeroMagnitude, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"), (123456789.125, "123456789.125"),
            (0.3, "0.3"), (0.1 + 0.2, "0.30000000000000004"), (4000.116667, "4000.116667"),
            (0x1p53, "9007199254740992"), (1.2345678901234567e20, "123456789012345670000"),
            (1e-10, "1e-10"), (-2.5e-9, "-2.5e-9"), (33.333333333333336, "33.333333333333336"),
        ] as [(Double, String)]) func doublesAsGoPrintsThem(value: Double, expected: String)
    {
        #expect(text { $0.double(value) } == expected)
    }

    @Test func doublesReadBackTheSameAndAreValidJSON() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<20_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let written = text { $0.double(value) }
            #expect(Double(written) == value)
            #expect(throws: Never.self) { try JSONTree(scanning: Array(written.utf8)) }
            let small = Double(random.below(1_000_000)) / Double(1 + random.below(10_000))
            #expect(Double(text { $0.double(small) }) == small)
        }
        #expect(text { $0.double(.nan) } == "null" && text { $0.double(-.infinity) } == "null")
    }

    @Test func stringsAreEscapedAsGoDoes() {
        let cases: [(String, String)] = [
            ("plain", #""plain""#), ("\"\\/", #""\"\\/""#), ("\n\r\t", #""\n\r\t""#),
            ("\u{0}\u{8}\u{C}\u{1F}", #""\u0000\u0008\u000c\u001f""#),
            ("<a&b>", #""\u003ca\u0026b\u003e""#),
            ("\u{2028}é\u{2029}", "\"\\u2028é\\u2029\""),
            ("€\u{202A}漢😀\u{7F}", "\"€\u{202A}漢😀\u{7F}\""),
            ("", "\"\""),
        ]
        for (value, expected) in cases { #expect(text { $0.string(value) } == expected) }
    }

    @Test func stringsRoundTrip() throws {
        for seed in UInt64(0)..<2_000 {
            var random = SeededRandom(seed: seed)
            var scalars = String.UnicodeScalarView()
            for _ in 0..<random.below(20) {
                let number = UInt32(random.below(random.below(2) == 0 ? 0x80 : 0x11_0000))
                if let scalar = Unicode.Scalar(number) { scalars.append(scalar) }
            }
            let value = String(scalars)
            let written = text { $0.string(value) }
            #expect(try JSONTree(scanning: Array(written.utf8)) == .string(value), "seed \(seed)")
            #expect(JSONTree(foundation: Array(written.utf8)) == .string(value), "seed \(seed)")
        }
    }

    @Test func integersAtTheEnds() {
        let written = text { json in
            json.beginArray()
            json.integer(.min)
            json.integer(.max)
            json.unsigned(.max)
            json.integer(0)
            json.boolean(true)
            json.null()
            json.raw(Array("{}".utf8))
            json.endArray()
        }
        #expect(
            written
                == "[-9223372036854775808,9223372036854775807,18446744073709551615,0,true,null,{}]")
    }
}

@Suite struct RFC3339Tests {
    @Test func timesAreWrittenAsGoWritesThem() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00Z"), (1_795_248_090_000, "2026-11-21T08:01:30Z"),
            (1_500, "1970-01-01T00:00:01.5Z"), (1_050, "1970-01-01T00:00:01.05Z"),
            (1_007, "1970-01-01T00:00:01.007Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (RFC3339.goZeroMilliseconds, "0001-01-01T00:00:00Z"),
            (.max, "9999-12-31T23:59:59.999Z"),
            (.min, "0000-01-01T00:00:00Z"), (951_782_400_000, "2000-02-29T00:00:00Z"),
        ] as [(Int64, String)] {
            #expect(RFC3339.string(milliseconds: milliseconds) == expected)
        }
    }

    @Test func writtenTimesReadBackAndAgreeWithFoundation() throws {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        var random = SeededRandom(seed: 3)
        for _ in 0..<3_000 {
            let milliseconds =
                Int64(random.below(253_402_300_800_000 - 1)) - 62_000_000_000_000 % 1_000
            let text = RFC3339.string(milliseconds: milliseconds)
            #expect(RFC3339.milliseconds(parsing: text) == milliseconds)
            if milliseconds % 1_000 >= 100, milliseconds % 10 != 0 {
                let date = try #require(formatter.date(from: text))
                #expect(Int64((date.timeIntervalSince1970 * 1_000).rounded()) == milliseconds)
            }
        }
    }

    @Test func zonesAndFractionsAreRead() {
        for (text, expected) in [
            ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T19:00:00-05:00", 0),
            ("1970-01-01T00:00:00.123456789Z", 123), ("1970-01-01T00:00:00.1Z", 100),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ] as [(String, Int64)] {
            #expect(RFC3339.milliseconds(parsing: text) == expected, "\(text)")
        }
    }

    @Test(arguments: [
        "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-13-01T00:00:00Z",
        "1970-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00Zx",
        "197O-01-01T00:00:00Z", "1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z",
        "+970-01-01T00:00:00Z",
    ]) func notATime(text: String) {
        #expect(RFC3339.milliseconds(parsing: text) == nil)
    }
}
