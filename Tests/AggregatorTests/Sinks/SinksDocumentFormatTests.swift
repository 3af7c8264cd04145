import Foundation
import Testing
import Wire

@testable import Aggregator

/// Document and protobuf formats against what Heapster's own sinks sent for the same batches.
@Suite(.enabled(if: HeapsterGolden.isPresent))
struct SinksDocumentFormatTests {
    @Test(arguments: 0...2)
    func wavefrontLinesAreHeapsters(n: Int) throws {
        let encoder = WavefrontEncoder(.init(clusterName: "c1", includesLabels: true))
        let stamp = " \(HeapsterGolden.cycles[n] / 1_000) source="
        // Heapster wrote the tags in the order of a hash table, and "cluster_name" and labels that
        // another sink put into the map it was reading.
        func comparable(_ line: String) -> String {
            let parts = line.split(separator: " ").map(String.init)
            return (parts.prefix(4) + parts.dropFirst(4).sorted()).joined(separator: " ")
        }
        let ours = HeapsterGolden.lines(try HeapsterGolden.batch(n), encoder).map(comparable)
        let theirs = try HeapsterGolden.text("sinks/runA/wavefront.txt").split(separator: "\n")
            .filter { $0.contains(stamp) }.map { comparable(String($0)) }
            .map { $0.replacingOccurrences(of: " cluster_name=\"c1\"", with: "") }
        #expect(ours.count == theirs.count)
        #expect(HeapsterGolden.differences(ours, theirs) { $0.contains(".uptime ") } == "")
    }

    @Test(arguments: 0...2)
    func honeycombEventsAreHeapstersAndLabeledMetricsToo(n: Int) throws {
        var ours: [String] = []
        for request in HeapsterGolden.requests(try HeapsterGolden.batch(n), HoneycombEncoder()) {
            ours += try Self.objects(Data(request.body)) { object in
                var object = object
                var data = object["Data"] as? [String: Any] ?? [:]
                for key in data.keys where key.contains(":") { data[key] = nil }
                data["uptime"] = nil
                object["Data"] = data
                return object
            }
        }
        var theirs: [String] = []
        for file in try HeapsterGolden.files("honeycomb_") {
            theirs += try Self.objects(Data(HeapsterGolden.body(file).utf8)) { object in
                var object = object
                var data = object["Data"] as? [String: Any] ?? [:]
                data["uptime"] = nil
                data["cluster_name"] = nil
                // A counter by the kubelet's word, which Heapster's list of counters did not have.
                object["Data"] = data
                return object
            }
        }
        let stamp = RFC3339.string(milliseconds: HeapsterGolden.cycles[n])
        theirs = theirs.filter { $0.contains(stamp) }
        #expect(HeapsterGolden.differences(ours, theirs) { _ in false } == "")
        #expect(ours.count == theirs.count && ours.count > 30)
    }

    @Test(arguments: 0...2)
    func libratoMeasurementsAreHeapstersAndZerosToo(n: Int) throws {
        let encoder = LibratoEncoder(prefix: "k8s", tags: [Label(key: "cluster", value: "c1")])
        func measurements(_ body: Data) throws -> [String] {
            let document = try #require(
                try JSONSerialization.jsonObject(with: body) as? [String: Any])
            #expect((document["tags"] as? [String: String]) == ["cluster": "c1"])
            let list = try #require(document["measurements"] as? [[String: Any]])
            return try list.map { item in
                var item = item
                var tags = try #require(item["tags"] as? [String: String])
                tags["cluster_name"] = nil
                item["tags"] = tags.filter { !$0.value.isEmpty }
                return try Self.canonical(item)
            }
        }
        var ours: [String] = []
        for request in HeapsterGolden.requests(try HeapsterGolden.batch(n), encoder) {
            ours += try measurements(Data(request.body))
        }
        var theirs: [String] = []
        for file in try HeapsterGolden.files("librato_") {
            theirs += try measurements(Data(HeapsterGolden.body(file).utf8))
        }
        // The recording has other measurements of the same cycles too: those without their zero.
        let known = Set(theirs)
        let unknown = ours.filter { line in
            !known.contains(line) && !line.contains("k8s.uptime")
                && !known.contains(line.replacingOccurrences(of: ",\"value\":0}", with: "}"))
        }
        #expect(unknown.count <= ours.count / 10, "\(unknown.count) \(unknown.prefix(3))")
        let stamp = "\"time\":\(HeapsterGolden.cycles[n] / 1_000)"
        let all = Set(ours)
        let missing = theirs.filter { line in
            line.contains(stamp) && !line.contains("k8s.uptime") && !all.contains(line)
                && !all.contains(String(line.dropLast()) + ",\"value\":0}")
        }
        #expect(missing == [])
    }

    @Test func elasticsearchDocumentsAreHeapsters() throws {
        let encoder = ElasticsearchEncoder(clusterName: "c1", isDataStream: false)
        func documents(_ body: String) throws -> [String] {
            let lines = body.split(separator: "\n").map(String.init)
            return try stride(from: 1, to: lines.count, by: 2).map { index in
                let object = try JSONSerialization.jsonObject(with: Data(lines[index].utf8))
                var document = try #require(object as? [String: Any])
                document["@timestamp"] = nil
                return try Self.canonical(document)
            }
        }
        var ours: [String] = []
        for request in HeapsterGolden.requests(try HeapsterGolden.batch(0), encoder) {
            ours += try documents(String(decoding: request.body, as: UTF8.self))
        }
        var theirs: [String] = []
        for file in try HeapsterGolden.files("elasticsearch_") {
            let body = try HeapsterGolden.body(file)
            if body.hasPrefix("{\"index\"") { theirs += try documents(body) }
        }
        let known = Set(ours)
        #expect(theirs.filter { !known.contains($0) && !$0.contains("\"uptime\"") } == [])
        #expect(theirs.count >= 5)
    }

    @Test func elasticsearchIDsNameOneDocumentEach() throws {
        let encoder = ElasticsearchEncoder(clusterName: "c1", isDataStream: true)
        func actions(_ n: Int) throws -> [String] {
            HeapsterGolden.lines(try HeapsterGolden.batch(n), encoder).filter {
                $0.hasPrefix("{\"create\":{\"_id\":\"")
            }
        }
        let first = try actions(1)
        #expect(Set(first).count == first.count)
        #expect(try actions(1) == first)
        #expect(Set(first).isDisjoint(with: try actions(2)))
    }

    @Test(arguments: 0...2)
    func riemannEventsAreHeapsters(n: Int) throws {
        let encoder = RiemannEncoder(.init(ttlSeconds: 120, state: "ok", tags: ["a", "b"]))
        var ours: [String] = []
        for request in HeapsterGolden.requests(try HeapsterGolden.batch(n), encoder) {
            ours += try Self.events(request.body)
        }
        var theirs: [String] = []
        for file in try HeapsterGolden.files("riemann_") {
            theirs += try Self.events(HeapsterGolden.bytes(file))
        }
        theirs = theirs.filter { $0.hasPrefix("time=\(HeapsterGolden.cycles[n] / 1_000) ") }
        let known = Set(ours)
        let unknown = theirs.filter { !known.contains($0) && !$0.contains("service=uptime ") }
        #expect(unknown == [], "\(unknown.first ?? "") \(ours.first ?? "")")
        #expect(theirs.count > 500)
    }

    /// Events as text; written after the documentation, not after the encoder.
    private static func events(_ message: [UInt8]) throws -> [String] {
        try ProtobufReader.fields(message).filter { $0.number == 6 }.map { event in
            var plain: [String] = []
            var attributes: [String] = []
            for field in try ProtobufReader.fields(event.bytes) {
                switch field.number {
                case 1: plain.append("time=\(field.value)")
                case 2: plain.append("state=\(field.text)")
                case 3: plain.append("service=\(field.text)")
                // Heapster's client put the aggregator's own name where a set has no host.
                case 4: if field.text != "vm" { plain.append("host=\(field.text)") }
                case 5: #expect(field.text == "")
                case 7: plain.append("tag=\(field.text)")
                case 8: plain.append("ttl=\(Float(bitPattern: UInt32(field.value)))")
                case 9:
                    let pair = try ProtobufReader.fields(field.bytes)
                    let value = pair.first { $0.number == 2 }?.text ?? ""
                    let key = pair.first { $0.number == 1 }?.text ?? ""
                    // As above: another sink's tag; and labels without a value.
                    if key != "cluster_name", !value.isEmpty {
                        attributes.append("\(key)=\(value)")
                    }
                case 13:
                    plain.append(
                        "metric=\(Int64(bitPattern: field.value >> 1 ^ (0 &- (field.value & 1))))")
                case 14: plain.append("metric=\(Double(bitPattern: field.value))")
                default: Issue.record("field \(field.number)")
                }
            }
            return
                (plain.sorted { a, b in
                    a.hasPrefix("time=") || !b.hasPrefix("time=") && a < b
                } + attributes.sorted()).joined(separator: " ")
        }
    }

    private static func objects(
        _ json: Data, _ change: ([String: Any]) -> [String: Any]
    ) throws -> [String] {
        let array = try #require(try JSONSerialization.jsonObject(with: json) as? [[String: Any]])
        return try array.map { try canonical(change($0)) }
    }

    private static func canonical(_ object: Any) throws -> String {
        let data = try JSONSerialization.data(withJSONObject: object, options: .sortedKeys)
        return String(decoding: data, as: UTF8.self)
    }
}

/// Reads protobuf messages without a schema.
enum ProtobufReader {
    struct Field {
        var number: Int
        /// Of numbers.
        var value: UInt64 = 0
        /// Of strings and messages.
        var bytes: [UInt8] = []
        var text: String { String(decoding: bytes, as: UTF8.self) }
        var double: Double { Double(bitPattern: value) }
    }

    struct Malformed: Error { var offset: Int }

    static func fields(_ bytes: [UInt8]) throws -> [Field] {
        var fields: [Field] = []
        var index = 0
        func varint() throws -> UInt64 {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 70, by: 7) {
                guard index < bytes.count else { throw Malformed(offset: index) }
                value |= UInt64(bytes[index] & 0x7F) << shift
                index += 1
                if bytes[index - 1] < 0x80 { return value }
            }
            throw Malformed(offset: index)
        }
        func fixed(_ count: Int) throws -> UInt64 {
            guard bytes.count - index >= count else { throw Malformed(offset: index) }
            defer { index += count }
            return bytes[index..<(index + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        while index < bytes.count {
            let tag = try varint()
            var field = Field(number: Int(tag >> 3))
            switch tag & 7 {
            case 0: field.value = try varint()
            case 1: field.value = try fixed(8)
            case 5: field.value = try fixed(4)
            case 2:
                let count = Int(try varint())
                guard count <= bytes.count - index else { throw Malformed(offset: index) }
                field.bytes = Array(bytes[index..<(index + count)])
                index += count
            default: throw Malformed(offset: index)
            }
            fields.append(field)
        }
        return fields
    }
}
