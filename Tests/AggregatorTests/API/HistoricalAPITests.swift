import Foundation
import Testing

@testable import Aggregator

/// The recorded requests of the historical API. The recording's numbers were made up by a stand-in for
/// InfluxDB, so shapes, statuses and words are compared with it, and numbers with the model's own.
@Suite struct HistoricalAPITests {
    private func text(_ golden: GoldenCluster, _ target: String) throws -> (Int, String) {
        let (response, body) = try golden.answer(target)
        return (response.status.code, String(decoding: body, as: UTF8.self))
    }

    private func json(_ golden: GoldenCluster, _ target: String) throws -> [String: Any] {
        let (status, text) = try text(golden, target)
        #expect(status == 200, "\(target): \(text)")
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
        return object as? [String: Any] ?? [:]
    }

    /// The kinds of values, without the values.
    private func shape(_ value: Any?) -> String {
        switch value {
        case let object as [String: Any]:
            // Digits of a float beside its whole part are ours alone.
            let shown = object.filter { $0.key != "floatValue" || object["value"] == nil }
            let parts = shown.sorted { $0.key < $1.key }.map { key, value in
                // Whether a number is whole depends on the numbers.
                key == "intValue" || key == "floatValue" ? "number" : "\(key):\(shape(value))"
            }
            return "{\(parts.joined(separator: ","))}"
        case let list as [Any]: return "[\(list.first.map { shape($0) } ?? "")]"
        case is String: return "text"
        case is NSNumber: return "number"
        default: return "nothing"
        }
    }

    @Test func everyRecordedRequestHasHeapstersShapeStatusAndWords() throws {
        guard let folder = GoldenCluster.folder?.appendingPathComponent("historical"),
            let golden = try GoldenCluster(steps: 4)
        else { return }
        let index = try GoldenCluster.json(folder.appendingPathComponent("index.json"))
        let requests = index["requests"] as? [[String: Any]] ?? []
        #expect(requests.count > 20)
        for entry in requests {
            let target = String((entry["expanded"] as? String ?? "").dropFirst(4))
            let file = entry["body_file"] as? String ?? ""
            let wanted = Answer(
                status: entry["status"] as? Int ?? 0,
                contentType: (entry["headers"] as? [String: String])?["Content-Type"] ?? "",
                body: try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8))
            let (response, body) = try golden.answer(target)
            let found = Answer(
                status: response.status.code,
                contentType: response.contentType?.description ?? "",
                body: String(decoding: body, as: UTF8.self))
            if target.contains("/nodata?") {
                // Nothing found is 404, with the same words.
                #expect(wanted.status == 500 && found.status == 404)
                #expect(found.body == wanted.body)
                continue
            }
            #expect(found.status == wanted.status, "\(target): \(found.body)")
            #expect(found.contentType == wanted.contentType, "\(target)")
            if wanted.status != 200 {
                #expect(found.body == wanted.body, "\(target)")
            } else if let names = wanted.json as? [String] {
                // InfluxDB's stand-in had few measurements; lists read from the wrong column are
                // Heapster's defect.
                let ours = Set(found.json as? [String] ?? [])
                #expect(!ours.isEmpty, "\(target)")
                if target.contains("/metrics") { #expect(ours.isSuperset(of: names), "\(target)") }
            } else if !target.contains("uid-a,uid-b") {
                #expect(shape(found.json) == shape(wanted.json), "\(target)")
            }
        }
    }

    @Test func seriesAreTheModelsOwn() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let start = "start=2026-01-01T00:00:00Z"
        for path in [
            "metrics/cpu/usage_rate", "nodes/node-a/metrics/memory/usage",
            "namespaces/default/pods/web-0/metrics/cpu/usage",
            "namespaces/default/pods/web-0/containers/nginx/metrics/cpu/usage_rate",
        ] {
            let model = try text(golden, "/api/v1/model/\(path)?\(start)")
            #expect(try text(golden, "/api/v1/historical/\(path)?\(start)") == model)
            #expect(model.1.contains("\"value\""))
        }
        let byName = try text(
            golden, "/api/v1/historical/namespaces/default/pods/web-0/metrics/memory/usage?\(start)"
        )
        let byUID = try text(
            golden, "/api/v1/historical/pod-id/uid-default-web-0/metrics/memory/usage?\(start)")
        #expect(byName == byUID)
    }

    @Test func aggregationsAreOverTheBucketsPoints() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        // 101000000, 107120007, 113240014, 119360021 at minutes 0 to 3.
        let path = "/api/v1/historical/nodes/node-a/metrics-aggregated"
        let all = "average,max,min,median,count,50-perc,95-perc,99-perc"
        let whole = try json(
            golden, "\(path)/\(all)/network/rx?start=2026-01-01T00:00:00Z&bucket=1h")
        let bucket = (whole["buckets"] as? [[String: Any]])?.first ?? [:]
        func value(_ key: String) -> Double? {
            let object = bucket[key] as? [String: Any]
            return (object?["intValue"] as? NSNumber ?? object?["floatValue"] as? NSNumber)?
                .doubleValue
        }
        #expect(bucket["timestamp"] as? String == "2026-01-01T00:00:00Z")
        #expect(bucket["count"] as? Int == 4)
        #expect(value("average") == 110_180_010.5)
        #expect(value("maximum") == 119_360_021)
        #expect(value("minimum") == 101_000_000)
        #expect(value("median") == 110_180_010.5)
        let percentiles = bucket["percentiles"] as? [String: [String: Any]]
        #expect((percentiles?["50"]?["intValue"] as? NSNumber)?.intValue == 107_120_007)
        #expect((percentiles?["99"]?["intValue"] as? NSNumber)?.intValue == 119_360_021)
        #expect((whole["bucketSize"] as? NSNumber)?.int64Value == 3_600_000_000_000)
        let halves = try json(
            golden, "\(path)/count/network/rx?start=2026-01-01T00:00:00Z&bucket=2m")
        let counts = (halves["buckets"] as? [[String: Any]] ?? []).map {
            "\($0["timestamp"] ?? "") \($0["count"] ?? "")"
        }
        #expect(counts == ["2026-01-01T00:00:00Z 2", "2026-01-01T00:02:00Z 2"])
    }

    @Test func whatReadsTooMuchIsRefusedWithTheRemedy() throws {
        var limits = APILimits()
        limits.pointCountMax = 7
        guard let golden = try GoldenCluster(steps: 4, limits: limits) else { return }
        let start = "start=2026-01-01T00:00:00Z"
        let pods = "namespaces/default/pod-list/web-0,web-1"
        for path in [
            "/api/v1/historical/\(pods)/metrics/cpu/usage?\(start)",
            "/api/v1/historical/\(pods)/metrics-aggregated/max/cpu/usage?\(start)",
            "/api/v1/historical/pod-id-list/a,b,c/metrics/cpu/usage?\(start)",
            "/api/v1/model/\(pods)/metrics/cpu/usage",
        ] {
            let (status, words) = try text(golden, path)
            #expect(status == 400, "\(path)")
            #expect(
                words.contains("points or more, and 7 are allowed (--api-max-points)"), "\(words)")
        }
        // Less time, or one pod, is within the limit.
        for path in [
            "/api/v1/historical/\(pods)/metrics/cpu/usage?start=2026-01-01T00:02:00Z",
            "/api/v1/historical/namespaces/default/pods/web-0/metrics/cpu/usage?\(start)",
            "/api/v1/model/\(pods)/metrics/cpu/usage?start=2026-01-01T00:02:00Z",
        ] { #expect(try text(golden, path).0 == 200, "\(path)") }
    }

    @Test(arguments: [
        ("5w", "unable to parse bucket size: \"5w\" has no known duration suffix"),
        ("5", "unable to parse bucket size: \"5\" is too short to be a duration"),
        ("-5s", "strconv.ParseUint: parsing \"-5\": invalid syntax"),
        (
            "99999999999999999999s",
            "strconv.ParseUint: parsing \"99999999999999999999\": value out of range"
        ),
    ])
    func bucketSizesThatAreNone(text: String, message: String) {
        #expect(throws: SeriesQuery.Invalid(message: message)) { try BucketSize.parse(text) }
    }
}
