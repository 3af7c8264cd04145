import TestSupport
import Testing

@testable import Wire

@Suite struct FrameDictionaryTests {
    private func decode(_ bytes: [UInt8], _ limits: WireLimits = WireLimits()) throws(WireError) {
        try withBytes(bytes) { raw throws(WireError) in
            _ = try DictionaryCodec.decode(raw, limits: limits)
        }
    }

    @Test func identifiersTakeHalfTheirLength() throws {
        let subject = Subject(
            kind: .container, parent: 3,
            attributes: [
                .podUID: "01234567-89ab-cdef-0123-456789abcdef",
                .containerID: String(repeating: "0123456789abcdef", count: 4),
            ])
        var bytes: [UInt8] = []
        DictionaryCodec.encode(.add(4, 0, subject), into: &bytes)
        // Six bytes of subject, one of their number, two in front of each text.
        #expect(bytes.count <= 8 + 2 * 3 + 16 + 32)
        #expect(try throughCodec([.add(4, 0, subject)]) == [.add(4, 0, subject)])
    }

    @Test func everyTextComesBackAsItWas() throws {
        let texts = [
            "", "a", "ab", "AB", "abc", "0123456789ABCDEF", "grüße/ünïcode", "ff", "f",
            "01234567-89ab-cdef-0123-456789abcdeg", "01234567-89AB-cdef-0123-456789abcdef",
            "0123456789-ab-cdef-0123-456789abcdef", String(repeating: "x", count: 4_096),
        ]
        for text in texts {
            let change = SubjectChange.add(0, 0, Subject(kind: .pod, attributes: [.name: text]))
            #expect(try throughCodec([change]) == [change])
        }
    }

    @Test func textsOverTheLimitAreRefusedInEveryForm() throws {
        var limits = WireLimits()
        limits.attributeBytes = 40
        for text in [String(repeating: "x", count: 41), String(repeating: "ab", count: 21)] {
            var bytes: [UInt8] = []
            DictionaryCodec.encode(
                .add(0, 0, Subject(kind: .pod, attributes: [.name: text])), into: &bytes)
            #expect(throws: WireError.self) { try decode(bytes, limits) }
        }
    }

    @Test func repeatedTextCountsAgainstTheDictionaryLimit() throws {
        var limits = WireLimits()
        limits.dictionaryBytes = 10_000
        let subject = Subject(
            kind: .pod, attributes: [.name: String(repeating: "x", count: 100)])
        let changes = (0..<101).map { SubjectChange.add(Slot($0), 0, subject) }
        var bytes: [UInt8] = []
        DictionaryCodec.encode(changes, into: &bytes)
        #expect(throws: WireError.self) { try decode(bytes, limits) }
        bytes = []
        DictionaryCodec.encode(Array(changes.prefix(100)), into: &bytes)
        try decode(bytes, limits)
    }

    @Test func limitsOfTheLayoutHoldAndARefusedChangeLeavesNoTrace() throws {
        var limits = WireLimits()
        limits.subjects = 3
        limits.valuesPerFrame = 5
        limits.dictionaryBytes = 8
        limits.schemas = 2
        limits.fieldsPerSchema = 3
        var layout = FrameLayout(limits: limits)
        let field = SchemaField(metric: 1)
        func refuses(_ change: SubjectChange, _ error: WireError? = nil) {
            let before = (layout.subjectCount, layout.valueCount, layout.dictionaryBytes)
            #expect(throws: WireError.self) { try layout.apply(change) }
            #expect(before == (layout.subjectCount, layout.valueCount, layout.dictionaryBytes))
        }
        refuses(.schema(2, Schema([field])))
        refuses(.schema(0, Schema([])))
        refuses(.schema(0, Schema([field, field, field, field])))
        refuses(.schema(0, Schema([SchemaField(metric: 1, granularity: 0)])))
        refuses(.schema(0, Schema([field], predictions: [Prediction(column: 0, .part(of: 0))])))
        refuses(.add(0, 0, Subject(kind: .node)))
        _ = try layout.apply(.schema(0, Schema([field, field])))
        refuses(.schema(0, Schema([field, field])))
        refuses(.add(3, 0, Subject(kind: .node)))
        refuses(.remove(0))
        _ = try layout.apply(.add(0, 0, Subject(kind: .node, attributes: [.name: "12345"])))
        refuses(.add(0, 0, Subject(kind: .node)))
        refuses(.add(1, 0, Subject(kind: .node, attributes: [.name: "1234"])))
        _ = try layout.apply(.add(1, 0, Subject(kind: .node)))
        refuses(.add(2, 0, Subject(kind: .node)))
        _ = try layout.apply(.remove(0))
        _ = try layout.apply(.add(2, 0, Subject(kind: .node)))
        #expect(Array(layout.liveSlots) == [1, 2])
    }

    @Test func memoryFollowsTheLiveSubjectsHoweverOftenWidthsChange() throws {
        let encoder = FrameEncoder()
        for width in 1...200 {
            try encoder.apply(
                .schema(
                    SchemaNumber(width),
                    Schema((0..<width).map { SchemaField(metric: UInt16($0)) }, predictions: [])))
        }
        try encoder.apply(.add(0, 5, Subject(kind: .node)))
        for column in 0..<5 { encoder.row(of: 0)[column] = Int64(column) }
        for round in 0..<4_000 {
            let slot = Slot(1 + round % 7)
            if encoder.layout.row(of: slot) != nil { try encoder.apply(.remove(slot)) }
            try encoder.apply(
                .add(slot, SchemaNumber(1 + round * 37 % 200), Subject(kind: .container)))
            #expect(encoder.layout.valueCapacity <= 2 * encoder.layout.valueCount + 8_192)
            #expect(Array(encoder.row(of: 0)) == [0, 1, 2, 3, 4])
        }
    }

    @Test func predictionsComeFromTheCatalogueInWhateverOrderTheColumnsAre() {
        let pages: UInt32 = 4_096
        let schema = Schema([
            SchemaField(.memoryUsage, granularity: pages),
            SchemaField(.memoryInactiveFile, granularity: pages),
            SchemaField(.memoryWorkingSet, granularity: pages),
            SchemaField(.cpuUsage, granularity: 1_000), SchemaField(.cpuUser, granularity: 1_000),
            SchemaField(.cpuSystem, granularity: 1_000),
        ])
        #expect(
            schema.predictions == [
                Prediction(column: 2, .sum([.init(column: 0), .init(column: 1, weight: -1)])),
                Prediction(column: 5, .sum([.init(column: 3), .init(column: 4, weight: -1)])),
            ])
    }

    @Test func checksumsAreRightInHardwareAndByTable() {
        let text = Array("123456789".utf8)
        #expect(text.withUnsafeBytes { CRC32C.checksum($0) } == 0xE306_9283)
        var random = SeededRandom(seed: 9)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8(random.below(256)) }
            var whole = CRC32C()
            var parts = CRC32C()
            var table = CRC32C()
            bytes.withUnsafeBytes { raw in
                whole.update(raw)
                table.updateByTable(raw)
                let cut = count == 0 ? 0 : random.below(count)
                parts.update(UnsafeRawBufferPointer(rebasing: raw[..<cut]))
                parts.update(UnsafeRawBufferPointer(rebasing: raw[cut...]))
            }
            #expect(whole.value == table.value)
            #expect(parts.value == table.value)
        }
    }
}
