import Glibc
import Testing
import Wire

@testable import Aggregator

/// The ingest port in the test's own thread, its clock turned by hand. Every stranger is refused, and an
/// agent that comes afterwards is served.
@Suite struct AgentListenerTests {
    private final class Port {
        let hands = ManualClock(realtimeNanoseconds: 1_800_000_000_000_000_000)
        let loop: EventLoop
        let counters = IngestCounters()
        let listener: AgentListener
        private let cluster = Cluster(configuration: ModelConfiguration()) { _ in nil }

        init(_ configuration: IngestConfiguration, open: TCPListener? = nil) throws {
            loop = try EventLoop(clock: .manual(hands))
            listener = AgentListener(
                try open ?? TCPListener(.loopback(port: 0), remedy: "--ingest-port"),
                loops: [loop], cluster: cluster, configuration: configuration, counters: counters)
            try listener.start()
        }

        func rejections(_ code: Farewell.Code) -> UInt64 { counters.rejectionsByCode[code] ?? 0 }

        /// Turns the loop until it holds; real time passes here, and the clock stands still.
        func until(_ condition: () throws -> Bool) throws {
            for _ in 0..<60_000 {
                if try condition() { return }
                loop.turn(waitMillisecondsMax: 1)
            }
            Issue.record("the condition did not come true")
        }

        func turn(_ times: Int = 20) {
            for _ in 0..<times { loop.turn(waitMillisecondsMax: 1) }
        }

        func expectIsServed(_ agent: Peer) throws {
            try until {
                agent.receive()
                return agent.records.contains { $0.type == .ack }
            }
            #expect(agent.records.first?.type == .welcome)
        }

        /// That the process is healthy: another agent is welcomed, and its frame is acknowledged.
        func expectAnAgentIsServed() throws {
            let agent = try Peer(listener.address)
            try agent.send(Peer.hello("good") + Peer.keyFrame(1))
            try expectIsServed(agent)
        }
    }

    /// A client socket without a loop.
    private final class Peer {
        private let socket: Int32
        private var stream = RecordStream(payloadLimit: 1 << 20)
        private(set) var records: [Record] = []
        private(set) var isEnded = false

        /// - Parameter receiveBytes: of the kernel's buffer; the least that it allows for 1.
        init(_ address: SocketAddress, receiveBytes: Int32? = nil) throws {
            socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            if var receiveBytes {
                setsockopt(
                    socket, SOL_SOCKET, SO_RCVBUF, &receiveBytes,
                    socklen_t(MemoryLayout<Int32>.size))
            }
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = address.port.bigEndian
            name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let code = withUnsafePointer(to: &name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            try #require(code == 0)
        }

        deinit { close(socket) }

        /// All of them; only for what fits the kernel's buffers.
        func send(_ bytes: [UInt8]) throws { try #require(sendSome(bytes[...]) == bytes.count) }

        /// - Returns: bytes that the kernel took, 0 when it takes none now, `nil` after the end.
        func sendSome(_ bytes: ArraySlice<UInt8>) -> Int? {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count >= 0 { return count }
            return errno == EAGAIN ? 0 : nil
        }

        /// Takes what has come.
        func receive() {
            var room = [UInt8](repeating: 0, count: 65_536)
            let count = recv(socket, &room, room.count, Int32(MSG_DONTWAIT))
            if count == 0 || (count < 0 && errno != EAGAIN) { isEnded = true }
            guard count > 0 else { return }
            room[..<count].withUnsafeBytes { stream.append($0) }
            do throws(WireError) {
                while try stream.next({ type, flags, payload in
                    records.append(Record(type: type, flags: flags, payload: Array(payload)))
                }) {}
            } catch {
                Issue.record("the aggregator sent nonsense: \(error)")
            }
        }

        static func hello(_ node: String) -> [UInt8] {
            var bytes = Hello.preface
            let hello = Hello(nodeName: node, runID: [UInt8](repeating: 3, count: 16))
            Record(type: .hello, payload: hello.encode()).encode(into: &bytes)
            return bytes
        }

        /// A chain of one frame, with its dictionary.
        static func keyFrame(_ sequence: UInt64) throws -> [UInt8] {
            let encoder = FrameEncoder()
            let changes: [SubjectChange] = [
                .schema(0, Schema([SchemaField(metric: 1, granularity: 1)])),
                .add(0, 0, Subject(kind: .node, parent: nil, attributes: [.name: "n"])),
            ]
            var dictionary: [UInt8] = []
            for change in changes {
                try encoder.apply(change)
                DictionaryCodec.encode(change, into: &dictionary)
            }
            var payload: [UInt8] = []
            let step = 1_800_000_000_000 + Int64(sequence)
            encoder.encode(
                FrameHeader(
                    sequence: sequence, stepMilliseconds: step, readDelayMilliseconds: 0,
                    isKey: true), into: &payload)
            var bytes: [UInt8] = []
            ChainSelection(id: sequence, begins: true).encode(into: &bytes)
            Record(type: .subjects, payload: dictionary).encode(into: &bytes)
            Record(type: .frame, payload: payload).encode(into: &bytes)
            return bytes
        }
    }

    /// Nothing, and a part of a hello: both have so long and no longer.
    @Test(arguments: [0, 4, 30])
    func aConnectionWithoutAHelloEndsAfterTenSeconds(byteCount: Int) throws {
        let port = try Port(IngestConfiguration())
        let stranger = try Peer(port.listener.address)
        try stranger.send(Array(Peer.hello("late").prefix(byteCount)))
        try port.until { port.counters.openConnections == 1 }
        port.turn()
        port.hands.advance(nanoseconds: 9_900_000_000)
        port.turn()
        stranger.receive()
        #expect(!stranger.isEnded && stranger.records.isEmpty)
        port.hands.advance(nanoseconds: 200_000_000)
        try port.until { port.counters.openConnections == 0 }
        try port.until {
            stranger.receive()
            return stranger.isEnded
        }
        #expect(stranger.records.map(\.type) == [.reject])
        #expect(port.rejections(.timeout) == 1)
        try port.expectAnAgentIsServed()
    }

    /// An agent that sends and never reads: what is kept of its acknowledgements has an end, and then the
    /// connection has.
    /// More than the kernel lets wait come while the log is read; it would leave some without an answer.
    @Test func agentsThatComeBeforeTheLogWasReadAreServed() throws {
        let open = try TCPListener(.loopback(port: 0), remedy: "--ingest-port", backlog: 1)
        var agents: [Peer] = []
        try AgentLobby(open, countMax: 100).whileOpen {
            for number in 0..<40 {
                let agent = try Peer(open.address)
                try agent.send(Peer.hello("n\(number)") + Peer.keyFrame(1))
                agents.append(agent)
            }
        }
        let port = try Port(IngestConfiguration(), open: open)
        for agent in agents { try port.expectIsServed(agent) }
        try port.expectAnAgentIsServed()
    }

    @Test func anAgentThatReadsNoAcknowledgementsIsCutOff() throws {
        var configuration = IngestConfiguration()
        configuration.outputBytes = 4_096
        let port = try Port(configuration)
        let agent = try Peer(port.listener.address, receiveBytes: 1)
        try agent.send(Peer.hello("deaf"))
        // Every other sequence, so that no two can be acknowledged in one range.
        var sequence: UInt64 = 1
        var rest: ArraySlice<UInt8> = []
        try port.until {
            while true {
                if rest.isEmpty {
                    rest = try Peer.keyFrame(sequence)[...]
                    sequence += 2
                }
                guard let count = agent.sendSome(rest) else { return true }
                if count == 0 { return false }
                rest = rest.dropFirst(count)
            }
        }
        try port.until { port.counters.openConnections == 0 }
        #expect(port.rejections(.overloaded) == 1)
        #expect(port.counters.frames > 100)
        try port.expectAnAgentIsServed()
    }

    /// Chains that begin and never end: the oldest goes for each that is too many.
    @Test func openChainsHaveALimit() throws {
        let port = try Port(IngestConfiguration())
        let agent = try Peer(port.listener.address)
        try agent.send(Peer.hello("n"))
        for sequence in 1...200 as ClosedRange<UInt64> {
            try agent.send(Peer.keyFrame(sequence))
            port.turn(1)
        }
        try port.until { port.counters.frames == 200 }
        let again = try Peer(port.listener.address)
        try again.send(Peer.hello("n"))
        try port.until {
            again.receive()
            return !again.records.isEmpty
        }
        let welcome = try again.records[0].payload.withUnsafeBytes { try Welcome(decoding: $0) }
        #expect(welcome.chains.map(\.id) == Array(193...200))
        try port.expectAnAgentIsServed()
    }
}
