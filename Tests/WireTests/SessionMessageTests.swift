import Testing
import Wire

/// Every message of the session: what is written is read, and nothing else is believed.
@Suite struct SessionMessageTests {
    /// Small numbers from a seed, for inputs that a failure can be repeated with.
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    private static var hello: Hello {
        var hello = Hello(nodeName: "worker-7", runID: (0..<16).map { UInt8($0 * 15) })
        hello.agentVersion = "0.1.0"
        hello.resolutionMilliseconds = 1_000
        hello.clockMilliseconds = 1_790_000_000_123
        hello.oldestSequence = 300
        hello.newestSequence = 1 << 40
        hello.credential = .sharedToken("correct horse battery staple")
        hello.machine.machineID = "0123456789abcdef0123456789abcdef"
        hello.machine.kernelVersion = "6.1.0-känguru"
        hello.machine.cgroupVersion = 2
        hello.machine.cores = 128
        hello.machine.memoryBytes = 1 << 41
        hello.machine.bootTimeMilliseconds = 1_789_000_000_000
        hello.machine.cpuVendor = "GenuineIntel"
        hello.machine.cpuModel = "Xeon 9"
        hello.machine.cpuKilohertz = 3_100_000
        hello.machine.vendor = "QEMU"
        hello.machine.product = "Standard PC"
        for number: UInt64 in 0..<2 {
            var node = NUMANode()
            node.number = number
            node.memoryBytes = 1 << 40
            node.cpus = "\(number * 64)-\(number * 64 + 63)"
            node.distances = "10 21"
            hello.machine.nodes.append(node)
        }
        hello.machine.hugePages = [HugePagePool(pageBytes: 2 << 20, pageCount: 512)]
        var disk = MachineDevice(kind: .disk, name: "nvme0n1")
        disk.model = "Some disk"
        disk.address = "259:0"
        disk.byteCount = 1 << 42
        disk.isRotational = true
        var card = MachineDevice(kind: .network, name: "eth0")
        card.address = "02:00:00:00:00:01"
        card.speedMegabits = 25_000
        card.packetBytes = 9_000
        hello.machine.devices = [disk, card]
        return hello
    }

    private static var welcome: Welcome {
        var welcome = Welcome()
        welcome.chains = [.init(id: 1, nextSequence: 7), .init(id: 300, nextSequence: 1 << 33)]
        for first: UInt64 in [1, 50, 1 << 34] {
            welcome.settled.insert(SequenceRange(first, first + 20))
        }
        welcome.resolutionMilliseconds = 10_000
        welcome.clockMilliseconds = 1_790_000_000_456
        welcome.recordBytes = 4 << 20
        welcome.subjects = 16_384
        return welcome
    }

    /// A message's bytes, and reading them back to bytes: `nil` where they are refused.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let reencode: @Sendable ([UInt8]) -> [UInt8]?

        init<Message>(
            _ name: String, _ bytes: [UInt8],
            read: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Message,
            write: @escaping @Sendable (Message) -> [UInt8]
        ) {
            testDescription = name
            self.bytes = bytes
            reencode = { input in
                input.withUnsafeBytes { raw in
                    do { return write(try read(raw)) } catch { return nil }
                }
            }
        }
    }

    static var cases: [Case] {
        [
            Case(
                "hello", hello.encode(), read: { try Hello(decoding: $0) },
                write: { $0.encode() }),
            Case(
                "welcome", welcome.encode(), read: { try Welcome(decoding: $0) },
                write: { $0.encode() }),
            Case(
                "facts", hello.machine.encode(), read: { try MachineFacts(decoding: $0) },
                write: { $0.encode() }),
            Case(
                "farewell",
                Farewell(.overloaded, "too many agents", retryAfterMilliseconds: 1_500).encode(),
                read: { try Farewell(decoding: $0) }, write: { $0.encode() }),
            Case(
                "range", SequenceRange(300, 70_000).encode(),
                read: { try SequenceRange(decoding: $0) }, write: { $0.encode() }),
            Case(
                "chain", [0xAC, 0x02],
                read: { try ChainSelection(decoding: $0, flags: .begins) },
                write: {
                    var record: [UInt8] = []
                    $0.encode(into: &record)
                    return Array(record.dropFirst(6))
                }),
        ]
    }

    @Test(arguments: cases) func whatIsWrittenIsRead(_ message: Case) {
        #expect(message.reencode(message.bytes) == message.bytes)
    }

    @Test func everyFieldArrives() throws {
        let hello = try Self.hello.encode().withUnsafeBytes { try Hello(decoding: $0) }
        #expect(hello == Self.hello)
        let welcome = try Self.welcome.encode().withUnsafeBytes { try Welcome(decoding: $0) }
        #expect(welcome == Self.welcome)
        var token = Self.hello
        token.credential = .serviceAccountToken("eyJhbGciOi.x.y")
        #expect(try token.encode().withUnsafeBytes { try Hello(decoding: $0) } == token)
    }

    /// A cut message is refused, or says less: never something else. Messages of fields may be cut
    /// between two fields, because a field may be absent.
    @Test(arguments: cases) func truncationAtEveryByteSaysNothingElse(_ message: Case) {
        for length in 0..<message.bytes.count {
            guard let read = message.reencode(Array(message.bytes.prefix(length))) else { continue }
            #expect(
                message.bytes.starts(with: read.prefix(length))
                    || isSubset(read, of: message.bytes),
                "cut to \(length): \(read)")
            #expect(read.count <= message.bytes.count)
        }
    }

    /// A flipped bit is refused by the record's checksum, whatever the message would make of it;
    /// and the message itself reads it without a trap and writes what it has read.
    @Test(arguments: cases) func everyFlippedBitIsNoticed(_ message: Case) throws {
        var record: [UInt8] = []
        Record(type: .hello, payload: message.bytes).encode(into: &record)
        for bit in 0..<record.count * 8 {
            var flipped = record
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            let isBelieved = flipped.withUnsafeBytes { raw -> Bool in
                do {
                    if case .record = try Record.parse(raw, payloadLimit: 1 << 20) { return true }
                } catch {}
                return false
            }
            #expect(!isBelieved, "bit \(bit)")
        }
        for bit in 0..<message.bytes.count * 8 {
            var flipped = message.bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let once = message.reencode(flipped) else { continue }
            #expect(message.reencode(once) == once, "bit \(bit) is not read as it is written")
        }
    }

    @Test(arguments: cases) func randomBytesAreReadAsTheyAreWrittenOrRefused(_ message: Case) {
        var random = Seeded(state: 42)
        var readCount = 0
        for _ in 0..<2_000 {
            var bytes = message.bytes
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch UInt8.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = .random(in: .min ... .max, using: &random)
                case 1: bytes.insert(.random(in: .min ... .max, using: &random), at: index)
                default: if bytes.count > 1 { bytes.remove(at: index) }
                }
            }
            guard let once = message.reencode(bytes) else { continue }
            readCount += 1
            #expect(message.reencode(once) == once, "\(bytes)")
        }
        #expect(readCount < 2_000, "nothing was refused")
    }

    @Test func recordsComeOutWhateverTheCut() throws {
        var random = Seeded(state: 7)
        var stream: [UInt8] = []
        var sent: [Record] = []
        for number in 0..<60 {
            let type = RecordType.allCases[number % RecordType.allCases.count]
            let length = [0, 1, 127, 128, 300, 20_000][number % 6]
            let payload = (0..<length).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            let record = Record(
                type: type, flags: number % 2 == 0 ? .begins : [], payload: payload)
            sent.append(record)
            record.encode(into: &stream)
        }
        for pieceMax in [1, 2, 7, 1_000, stream.count] {
            var reader = RecordStream(payloadLimit: 20_000)
            var received: [Record] = []
            var offset = 0
            while offset < stream.count {
                let end = min(
                    stream.count, offset + Int.random(in: 1...pieceMax, using: &random))
                stream[offset..<end].withUnsafeBytes { reader.append($0) }
                offset = end
                while try reader.next({ type, flags, payload in
                    received.append(Record(type: type, flags: flags, payload: Array(payload)))
                }) {}
            }
            #expect(received == sent)
            #expect(reader.pendingByteCount == 0)
        }
    }

    @Test func aRecordThatIsTooLongIsRefusedBeforeItIsThere() {
        let header: [UInt8] = [0xA1, 0x9C, 0x01, 0x04]
        #expect(
            failure(header) { try Record.parse($0, payloadLimit: 20_000) }
                == .limitExceeded(what: "record payload", actual: 20_001, limit: 20_000))
        #expect(
            failure([UInt8](repeating: 0xFF, count: 8)) {
                try Record.parse($0, payloadLimit: 1 << 30)
            } == .malformed(what: "record length", offset: 4))
    }

    @Test func limitsOfMessagesHold() {
        var welcome = Welcome()
        for id in 0..<65 { welcome.chains.append(.init(id: UInt64(id), nextSequence: 1)) }
        #expect(
            failure(welcome.encode()) { try Welcome(decoding: $0) }
                == .limitExceeded(what: "open chains", actual: 65, limit: 64))
        var long = Self.hello
        long.nodeName = String(repeating: "n", count: 1_025)
        #expect(
            failure(long.encode()) { try Hello(decoding: $0) }
                == .limitExceeded(what: "text field", actual: 1_025, limit: 1_024))
        // A writer keeps to the limit, so two messages in one are needed to go beyond it.
        var machine = MachineFacts()
        machine.devices = (0..<600).map { MachineDevice(kind: .disk, name: "sd\($0)") }
        let kept = machine.encode().withUnsafeBytes { raw -> Int? in
            do { return try MachineFacts(decoding: raw).devices.count } catch { return nil }
        }
        #expect(kept == 512)
        #expect(
            failure(machine.encode() + machine.encode()) { try MachineFacts(decoding: $0) }
                == .limitExceeded(what: "devices", actual: 513, limit: 512))
        var many = Welcome()
        for first in 0..<300 {
            many.settled.insert(SequenceRange(UInt64(first) * 3 + 1, UInt64(first) * 3 + 1))
        }
        let read = many.encode().withUnsafeBytes { raw -> Welcome? in
            do { return try Welcome(decoding: raw) } catch { return nil }
        }
        #expect(read?.settled.ranges == many.settled.ranges.suffix(Welcome.rangeLimit))
    }

    private func failure<Message>(
        _ bytes: [UInt8], _ read: (UnsafeRawBufferPointer) throws -> Message
    ) -> WireError? {
        bytes.withUnsafeBytes { raw in
            do {
                _ = try read(raw)
                return nil
            } catch {
                return error as? WireError
            }
        }
    }

    /// Whether all fields of one message are fields of another; both in tag-length-value form.
    private func isSubset(_ some: [UInt8], of all: [UInt8]) -> Bool {
        let (some, all) = (fields(some), fields(all))
        return some.allSatisfy { all.contains($0) }
    }

    private func fields(_ bytes: [UInt8]) -> [[UInt8]] {
        var found: [[UInt8]] = []
        var rest = bytes[...]
        while let tag = rest.popFirst(), let length = rest.popFirst() {
            found.append([tag] + rest.prefix(Int(length)))
            rest = rest.dropFirst(Int(length))
        }
        return found
    }
}
