import Testing
import Wire

@Suite struct FrameBasicTests {
    @Test func checksumOfTheStandardTextIsTheStandardValue() {
        let crc = Array("123456789".utf8).withUnsafeBytes { CRC32C.checksum($0) }
        #expect(crc == 0xE306_9283)
    }

    @Test func subjectsComeAndGoAndEveryValueArrives() throws {
        var random = SystemRandomNumberGenerator()
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()
        func both(_ change: SubjectChange) throws {
            var bytes: [UInt8] = []
            DictionaryCodec.encode(change, into: &bytes)
            let decoded = try bytes.withUnsafeBytes { raw throws(WireError) in
                try DictionaryCodec.decode(raw)
            }
            #expect(decoded == [change])
            try encoder.apply(change)
            for change in decoded { try decoder.apply(change) }
        }
        try both(
            .schema(
                3,
                Schema([
                    SchemaField(.cpuUsage), SchemaField(.memoryUsage, granularity: 4096),
                    SchemaField(metric: 60_000, granularity: 7),
                ])))
        for slot in 0..<9 {
            let subject = Subject(
                kind: .container, parent: slot == 0 ? nil : 0, startTimeMilliseconds: 12,
                attributes: [
                    .name: "c\(slot)",
                    .containerID: String(repeating: "0123456789abcdef", count: 4),
                    .podUID: "01234567-89ab-cdef-0123-456789abcdef",
                    Subject.Attribute(rawValue: 200): "from the future",
                ])
            try both(.add(Slot(slot), 3, subject))
        }
        for sequence in 1...200 {
            if sequence % 10 == 5 { try both(.remove(Slot(sequence / 10 % 9))) }
            if sequence % 10 == 7 {
                try both(.add(Slot(sequence / 10 % 9), 3, Subject(kind: .container)))
            }
            for slot in encoder.layout.liveSlots where Bool.random(using: &random) {
                let row = encoder.row(of: slot)
                row[Int.random(in: 0..<3, using: &random)] = .random(
                    in: .min ... .max, using: &random)
                row[1] &+= 4096
            }
            let header = FrameHeader(
                sequence: UInt64(sequence), stepMilliseconds: Int64(sequence) * 1000,
                readDelayMilliseconds: Int64(sequence % 3), isKey: sequence % 50 == 1)
            var bytes: [UInt8] = []
            encoder.encode(header, into: &bytes)
            let decoded = try bytes.withUnsafeBytes { raw throws(WireError) in
                try decoder.decode(raw)
            }
            #expect(decoded == header)
            for slot in encoder.layout.liveSlots {
                let row = try #require(decoder.row(of: slot))
                #expect(Array(row) == Array(encoder.row(of: slot)))
            }
        }
    }
}
