import Glibc
import Testing
import Wire

@testable import Aggregator

/// Handshakes of which each step takes a millisecond, on a clock that moves by them alone.
@Suite struct HandshakeQueueTests {
    /// What happened, in order.
    private final class Course {
        var steps: [String] = []
        var opened: [String] = []
        var closed: [String] = []
    }

    /// One end of a pair of sockets whose other end has said something.
    private final class SlowStream: ByteStream {
        let descriptor: Int32
        let far: Int32
        let hasBufferedInput = false
        private let name: String
        private let hands: ManualClock
        private let course: Course
        private var steps = 0

        init(_ name: String, _ hands: ManualClock, _ course: Course) throws {
            var pair: [Int32] = [0, 0]
            let code = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
            try #require(code == 0)
            (descriptor, far) = (pair[0], pair[1])
            (self.name, self.hands, self.course) = (name, hands, course)
            #expect(Glibc.write(far, "x", 1) == 1)
        }

        deinit { Glibc.close(far) }

        func establish() -> StreamOutcome {
            hands.advance(nanoseconds: 1_000_000)
            course.steps.append(name)
            steps += 1
            return steps < 2 ? .wantsRead : .done(0)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamOutcome {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            return count > 0 ? .done(count) : count == 0 ? .endOfStream : .wantsRead
        }

        func write(_ bytes: UnsafeRawBufferPointer) -> StreamOutcome { .done(bytes.count) }
        func finishWriting() {}
        func close() { Glibc.close(descriptor) }
    }

    private final class Peer: StreamConnectionDelegate, HandshakeGate {
        let stream: SlowStream
        private(set) var connection: StreamConnection?
        private let name: String
        private let address: SocketAddress?
        private let queue: HandshakeQueue
        private let course: Course

        /// - Parameter known: the number of its address.
        init(_ name: String, known: UInt32? = nil, _ world: World) throws {
            (self.name, address) = (name, known.map { .v4(address: $0, port: 0) })
            (queue, course) = (world.queue, world.course)
            stream = try SlowStream(name, world.hands, world.course)
            let connection = StreamConnection(
                stream, loop: world.loop, inputByteCountMax: 64, outputByteCountMax: 64,
                delegate: self, gate: self)
            self.connection = connection
            try connection.start()
        }

        func handshakeWaits(_ connection: StreamConnection) {
            queue.add(connection, known: address)
        }
        func opened(_ connection: StreamConnection) { course.opened.append(name) }
        func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int {
            bytes.count
        }
        func outputDrained(_ connection: StreamConnection) {}
        func inputEnded(_ connection: StreamConnection) { connection.close() }
        func closed(_ connection: StreamConnection, error: TransportError?) {
            course.closed.append(name)
        }
    }

    private final class World {
        let hands = ManualClock()
        let loop: EventLoop
        let queue: HandshakeQueue
        let course = Course()

        init() throws {
            loop = try EventLoop(clock: .manual(hands))
            queue = HandshakeQueue(loop: loop)
        }
    }

    /// Counts a byte each time that it is told of one.
    private final class Frames: ReadinessHandler {
        let descriptors: [Int32]
        private(set) var count = 0

        init() throws {
            var pair: [Int32] = [0, 0]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            descriptors = pair
        }

        func send() { #expect(write(descriptors[1], "x", 1) == 1) }
        func ready(_ readiness: Readiness) {
            var byte: UInt8 = 0
            count += recv(descriptors[0], &byte, 1, Int32(MSG_DONTWAIT))
        }
    }

    @Test func aTurnMakesFiveStepsAndServesEverybodyElse() throws {
        let world = try World()
        let frames = try Frames()
        try world.loop.add(frames.descriptors[0], interest: .read, handler: frames)
        let strangers = try (0..<20).map { try Peer("s\($0)", world) }
        let known = try (0..<UInt32(3)).map { try Peer("k\($0)", known: $0, world) }
        world.loop.turn(waitMillisecondsMax: 0)
        // Agents in the order in which they came, then the newest strangers.
        #expect(world.course.steps == ["k0", "k1", "k2", "s19", "s18"])
        var turns = 1
        while world.course.opened.count < 23, turns < 1_000 {
            let before = world.course.steps.count
            frames.send()
            world.loop.turn(waitMillisecondsMax: 0)
            turns += 1
            #expect(world.course.steps.count - before <= 5)
            #expect(frames.count == turns - 1, "a frame waited for handshakes")
        }
        #expect(world.course.steps.count == 46)
        #expect(Set(world.course.opened.prefix(3)) == ["k0", "k1", "k2"])
        #expect(world.course.closed.isEmpty)
        for peer in strangers + known { peer.connection?.close() }
        world.loop.remove(frames.descriptors[0])
        for descriptor in frames.descriptors { close(descriptor) }
    }

    /// Of a flood from an agent's own address few go before others; the rest are strangers.
    @Test func oneAddressDoesNotFillTheQueueOfTheKnown() throws {
        let world = try World()
        let crowd = try (0..<50).map { try Peer("c\($0)", known: 7, world) }
        let known = try (0..<UInt32(3)).map { try Peer("k\($0)", known: $0, world) }
        for _ in 0..<4 { world.loop.turn(waitMillisecondsMax: 0) }
        let opened = world.course.opened
        #expect(Set(opened).isSuperset(of: ["k0", "k1", "k2", "c0", "c1", "c2", "c3"]))
        for _ in 0..<100 where world.course.opened.count < 53 {
            world.loop.turn(waitMillisecondsMax: 0)
        }
        // Nobody is forgotten, and when they have gone the address is as any other.
        #expect(world.course.opened.count == 53)
        let late = try Peer("late", known: 7, world)
        let stranger = try Peer("stranger", world)
        world.loop.turn(waitMillisecondsMax: 0)
        #expect(
            world.course.steps.suffix(4) == ["late", "late", "stranger", "stranger"]
                || world.course.steps.suffix(2) == ["late", "stranger"])
        for peer in crowd + known + [late, stranger] { peer.connection?.close() }
    }

    @Test func whoeverHangsUpInTheQueueIsForgotten() throws {
        let world = try World()
        let peers = try (0..<10).map { try Peer("s\($0)", world) }
        for peer in peers.prefix(5) { shutdown(peer.stream.far, Int32(SHUT_RDWR)) }
        for _ in 0..<20 { world.loop.turn(waitMillisecondsMax: 0) }
        #expect(Set(world.course.closed) == ["s0", "s1", "s2", "s3", "s4"])
        #expect(Set(world.course.opened) == ["s5", "s6", "s7", "s8", "s9"])
        for peer in peers { peer.connection?.close() }
    }

    @Test func knownAddressesHaveALimitAndNoPorts() throws {
        let known = KnownAddresses(countMax: 10)
        for number in 0..<100 as Range<UInt32> {
            known.insert(.v4(address: number, port: UInt16(number)))
            #expect(
                known.address(of: .v4(address: number, port: 9)) == .v4(address: number, port: 0))
        }
        let left = (0..<100).filter { known.address(of: .v4(address: $0, port: 1)) != nil }
        #expect(left.count == 10)
        known.insert(.v6(high: 1, low: 2, port: 3, scope: 0))
        #expect(known.address(of: .v6(high: 1, low: 2, port: 4, scope: 0)) != nil)
        #expect(known.address(of: .v6(high: 1, low: 3, port: 4, scope: 0)) == nil)
    }
}
