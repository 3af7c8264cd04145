import Foundation
import TestSupport
import Testing

@testable import Aggregator

/// Every request that was recorded of Heapster, asked of ours with the same inputs.
@Suite struct GoldenModelAPITests {
    private struct Recorded {
        let method: String
        let target: String
        let fields: String
        let status: Int
        let contentType: String
        let body: [UInt8]
    }

    private func recorded(_ part: String) throws -> (batchTimes: [String], requests: [Recorded])? {
        guard let folder = GoldenCluster.folder?.appendingPathComponent(part) else { return nil }
        let index = try GoldenCluster.json(folder.appendingPathComponent("index.json"))
        let requests = try (index["requests"] as? [[String: Any]] ?? []).map { entry in
            let words = (entry["request"] as? String ?? "").split(separator: " ", maxSplits: 1)
            let file = entry["body_file"] as? String ?? ""
            let fields = (entry["req_headers"] as? [String: String] ?? [:])
            return Recorded(
                method: String(words[0]), target: String(words[1]),
                fields: fields.map { "\($0.key): \($0.value)\r\n" }.joined(),
                status: entry["status"] as? Int ?? 0,
                contentType: (entry["headers"] as? [String: String])?["Content-Type"] ?? "",
                body: Array(try Data(contentsOf: folder.appendingPathComponent(file))))
        }
        return (index["batch_times"] as? [String] ?? [], requests)
    }

    /// Ours for {T0}, {T1} … and for the recorded batch times.
    private func cycleTime(_ number: Int) -> String {
        "2026-01-01T00:0\(number):00Z"
    }

    /// The recorded summaries as frames over the real wire into the real aggregator: every answer is
    /// that of the model which the other test holds against Heapster's.
    @Test func aReplayOverTheWireIsAnsweredTheSame() throws {
        guard let (batchTimes, requests) = try recorded("summary"),
            let golden = try GoldenCluster(steps: batchTimes.count, framesOnly: true),
            let input = GoldenCluster.folder?.appendingPathComponent("input")
        else { return }
        let folder = try TemporaryFolder()
        for name in try FileManager.default.contentsOfDirectory(atPath: input.path) {
            guard let step = name.firstMatch(of: /^summary_.*_n(\d)\.json$/)?.output.1,
                Int(step) ?? 9 < batchTimes.count
            else { continue }
            try FileManager.default.copyItem(
                at: input.appendingPathComponent(name),
                to: folder.url.appendingPathComponent(name))
        }
        let objects = folder.url.appendingPathComponent("objects")
        try GoldenCluster.writeObjects(input, to: objects)
        let aggregator = try RunningProgram(
            "heapwire-aggregator",
            [
                "--port=0", "--ingest-port=0", "--metric-resolution=60s",
                "--enable-debug-handlers",
                "--pods=\(objects.path)",
            ], in: folder.url)
        let ports = try aggregator.wait(
            for: /API on (http:[^,]+), agents on ([\d.:]+)/, seconds: 60)
        let fleet = try RunningProgram(
            "heapwire-fleet",
            [
                "replay", "--summary-dir=\(folder.url.path)", "--pods=\(objects.path)",
                "--aggregator=\(ports.2)", "--hold=600s",
            ], in: folder.url)
        let last = cycleTime(batchTimes.count - 1)
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            let seen = try ["a", "b", "c"].map {
                try httpGet("\(ports.1)/api/v1/model/nodes/node-\($0)/metrics/memory/usage")
            }
            if seen.allSatisfy({ $0.contains("latestTimestamp\": \"\(last)") }) { break }
            usleep(50_000)
        }
        var compared = 0
        for request in requests where request.method == "GET" && request.fields.isEmpty {
            // These are of the present and of the process.
            if ["/healthz", "/metrics"].contains(where: request.target.hasPrefix) { continue }
            var target = request.target
            for number in 0..<4 {
                target = target.replacingOccurrences(of: "{T\(number)}", with: cycleTime(number))
            }
            let (response, body) = try golden.answer(target)
            let wanted = Answer(
                status: response.status.code, contentType: response.contentType?.description ?? "",
                body: String(decoding: body, as: UTF8.self))
            let parts = try httpGet(
                "\(ports.1)\(target)", arguments: ["-g", "-w", "\n%{http_code} %{content_type}"]
            ).split(separator: "\n", omittingEmptySubsequences: false)
            let words = (parts.last ?? "").split(separator: " ", maxSplits: 1)
            let found = Answer(
                status: Int(words.first ?? "") ?? 0,
                contentType: words.count > 1 ? String(words[1]) : "",
                body: parts.dropLast().joined(separator: "\n"))
            let mismatch = wanted.nameless.mismatch(with: found.nameless)
            #expect(mismatch == nil, "\(target)\n\(mismatch ?? "")")
            compared += 1
        }
        #expect(compared > 60)
        #expect(fleet.isRunning, "\(fleet.output)")
    }

    @Test(arguments: ["nodata", "summary"])
    func everyRecordedRequestIsAnsweredAsHeapsterDid(part: String) throws {
        guard let (batchTimes, requests) = try recorded(part) else { return }
        guard let golden = try GoldenCluster(steps: batchTimes.count) else { return }
        #expect(requests.count > 4)
        var differences = KnownDifferences.all.filter { $0.part == part }
        for request in requests {
            var target = request.target
            for number in 0..<4 {
                target = target.replacingOccurrences(
                    of: "{T\(number)}", with: cycleTime(number))
            }
            let (response, body) = try golden.answer(
                target, request.fields, method: request.method)
            var expected = String(decoding: request.body, as: UTF8.self)
            for (number, time) in batchTimes.enumerated() {
                expected = expected.replacingOccurrences(of: time, with: cycleTime(number))
            }
            let found = Answer(
                status: response.status.code, contentType: response.contentType?.description ?? "",
                body: request.method == "HEAD" ? "" : String(decoding: body, as: UTF8.self))
            let wanted = Answer(
                status: request.status, contentType: request.contentType, body: expected)
            let line = "\(request.method) \(request.target)"
            if let place = differences.firstIndex(where: {
                $0.request == line && $0.explains(wanted, found)
            }) {
                differences.remove(at: place)
                continue
            }
            if request.fields.contains("gzip") { continue }
            let mismatch = wanted.mismatch(with: found)
            #expect(mismatch == nil, "\(line)\n\(mismatch ?? "")")
        }
        for unused in differences { Issue.record("no longer a difference: \(unused.request)") }
    }
}

/// Status, type and body of an answer.
struct Answer {
    let status: Int
    let contentType: String
    let body: String

    /// Without the IDs that containers go by whom nobody names.
    var nameless: Answer {
        Answer(
            status: status, contentType: contentType,
            body: body.replacing(/[0-9a-f]{64}/, with: "nameless"))
    }

    var json: Any? {
        do {
            return try JSONSerialization.jsonObject(
                with: Data(body.utf8), options: [.fragmentsAllowed])
        } catch {
            return nil
        }
    }

    /// What differs, compared as data; lists of names in any order; fields that cannot be equal
    /// (`creationTimestamp`, `uptime`) left out.
    func mismatch(with other: Answer) -> String? {
        if status != other.status { return "status \(other.status), not \(status): \(other.body)" }
        if contentType != other.contentType {
            return "type \(other.contentType), not \(contentType)"
        }
        guard contentType == "application/json" else {
            return body == other.body ? nil : "body \(other.body), not \(body)"
        }
        return Self.difference(json, other.json, "")
    }

    static func difference(_ wanted: Any?, _ found: Any?, _ path: String) -> String? {
        switch (wanted, found) {
        case (let wanted as [String: Any], let found as [String: Any]):
            for key in Set(wanted.keys).union(found.keys).sorted() {
                // Floats keep their digits beside the whole number.
                if ["creationTimestamp", "uptime", "floatValue"].contains(key) { continue }
                let deeper = difference(wanted[key], found[key], "\(path)/\(key)")
                if let deeper { return deeper }
            }
            return nil
        case (let wanted as [Any], let found as [Any]):
            let (wanted, found) = (inOrder(wanted), inOrder(found))
            if let names = wanted as? [String], let others = found as? [String] {
                let missing = Set(names).subtracting(others).sorted()
                let extra = Set(others).subtracting(names).sorted()
                return missing.isEmpty && extra.isEmpty
                    ? nil : "\(path): missing \(missing), more \(extra)"
            }
            if wanted.count != found.count {
                return "\(path): \(found.count) elements, not \(wanted.count)"
            }
            for (index, pair) in zip(wanted, found).enumerated() {
                let deeper = difference(pair.0, pair.1, "\(path)[\(index)]")
                if let deeper { return deeper }
            }
            return nil
        case (let wanted as NSObject, let found as NSObject):
            return wanted == found ? nil : "\(path): \(found), not \(wanted)"
        case (nil, nil): return nil
        default:
            return
                "\(path): \(found.map { "\($0)" } ?? "nothing"), not \(wanted.map { "\($0)" } ?? "nothing")"
        }
    }

    /// Heapster's lists come from maps: order them by what names an element.
    private static func inOrder(_ list: [Any]) -> [Any] {
        func key(_ element: Any) -> String {
            if let text = element as? String { return text }
            guard let object = element as? [String: Any] else { return "" }
            if let labels = object["labels"] as? [String: Any] {
                return labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                    .joined(separator: ",")
            }
            if let metadata = object["metadata"] as? [String: Any] {
                return "\(metadata["namespace"] ?? "")/\(metadata["name"] ?? "")"
            }
            if let name = object["name"] as? String { return name }
            return ""
        }
        return list.enumerated().sorted {
            (key($0.element), $0.offset) < (key($1.element), $1.offset)
        }.map(\.element)
    }
}
