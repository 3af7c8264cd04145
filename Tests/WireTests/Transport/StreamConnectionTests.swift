import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Wire

private func put(_ bytes: some Sequence<UInt8>, on connection: StreamConnection) {
    let isTaken = connection.output.append(Array(bytes))
    #expect(isTaken)
}

/// Two ends on one loop in the test's own thread, turned by hand.
@Suite struct StreamConnectionTests {
    /// Echoes whole 10-byte messages, or collects what comes.
    final class End: StreamConnectionDelegate {
        var isEcho = false
        var received: [UInt8] = []
        var isOpened = false
        var drainedCount = 0
        var isInputEnded = false
        var closings: [TransportError?] = []

        func opened(_ connection: StreamConnection) { isOpened = true }
        func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int {
            let count = isEcho ? bytes.count / 10 * 10 : bytes.count
            let part = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            received += part
            if isEcho { put(part, on: connection) }
            return count
        }
        func outputDrained(_ connection: StreamConnection) { drainedCount += 1 }
        func inputEnded(_ connection: StreamConnection) {
            isInputEnded = true
            if isEcho { connection.finish() }
        }
        func closed(_ connection: StreamConnection, error: TransportError?) {
            closings.append(error)
        }
    }

    final class Pair {
        let loop: EventLoop
        let listener: TCPListener
        let server = End()
        let client = End()
        var serverConnection: StreamConnection?
        let clientConnection: StreamConnection

        init(limit: Int = 1 << 20) throws {
            loop = try EventLoop(scratchByteCount: 4_096)
            listener = try TCPListener(.loopback(port: 0), remedy: "--port")
            let stream = try SocketStream(connectingTo: listener.address)
            clientConnection = StreamConnection(
                stream, loop: loop, inputByteCountMax: 1 << 20, outputByteCountMax: 16 << 20,
                delegate: client)
            try clientConnection.start()
            try listener.start(on: loop) { [unowned self] accepted in
                let connection = StreamConnection(
                    SocketStream(accepted: accepted), loop: self.loop, inputByteCountMax: limit,
                    outputByteCountMax: 32 << 20, delegate: self.server)
                self.serverConnection = connection
                do { try connection.start() } catch { Issue.record(error) }
            }
            try until { serverConnection?.isOpen == true && client.isOpened }
        }

        func until(_ condition: () -> Bool) throws {
            for _ in 0..<20_000 {
                if condition() { return }
                loop.turn(waitMillisecondsMax: 1)
            }
            Issue.record("the condition did not come true")
        }
    }

    @Test func messagesInOddPiecesAreEchoedWholeAndInOrder() throws {
        let pair = try Pair()
        pair.server.isEcho = true
        var random = SeededRandom(seed: 7)
        let all = (0..<200_000).map { _ in UInt8(random.next() & 255) }
        var sent = 0
        while sent < all.count {
            let count = min(Int(random.next() % 7_001) + 1, all.count - sent)
            put(Array(all[sent..<(sent + count)]), on: pair.clientConnection)
            pair.clientConnection.flush()
            sent += count
            pair.loop.turn(waitMillisecondsMax: 0)
        }
        try pair.until { pair.client.received.count == all.count }
        #expect(pair.client.received == all)
        #expect(pair.server.received == all)

        #expect(pair.clientConnection.receivedByteCount == 200_000)
    }

    @Test func finishDeliversEverythingBeforeItCloses() throws {
        let pair = try Pair()
        let big = [UInt8](repeating: 0x61, count: 12 << 20)
        let server = try #require(pair.serverConnection)
        put(big, on: server)
        server.flush()
        // Unread input at the server must not destroy the answer.
        put(big, on: pair.clientConnection)
        pair.clientConnection.flush()
        server.pauseReading()
        server.finish()
        try pair.until { pair.client.isInputEnded }
        #expect(pair.client.received.count == big.count)
        pair.clientConnection.close()
        try pair.until { pair.server.closings.count == 1 }
        #expect(pair.client.closings == [nil])
    }

    @Test func aPausedReaderHoldsTheSenderBack() throws {
        let pair = try Pair()
        let server = try #require(pair.serverConnection)
        server.pauseReading()
        put([UInt8](repeating: 1, count: 16 << 20), on: pair.clientConnection)
        pair.clientConnection.flush()
        for _ in 0..<200 { pair.loop.turn(waitMillisecondsMax: 1) }
        let isWaiting = !pair.clientConnection.output.isEmpty
        #expect(isWaiting)
        #expect(pair.server.received.isEmpty)
        server.resumeReading()
        try pair.until { pair.server.received.count == 16 << 20 }
        #expect(pair.client.drainedCount == 1)
    }

    @Test func aMessageLongerThanTheLimitEndsTheConnection() throws {
        let pair = try Pair(limit: 5)
        pair.server.isEcho = true
        put([1, 2, 3, 4, 5, 6, 7], on: pair.clientConnection)
        pair.clientConnection.flush()
        try pair.until { !pair.server.closings.isEmpty }
        #expect(
            pair.server.closings == [.streamFailed(reason: "a message is longer than 5 bytes")])
    }

    @Test func aResetIsNoticedEvenWhileReadingIsPaused() throws {
        let pair = try Pair()
        let server = try #require(pair.serverConnection)
        server.pauseReading()
        var reset = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            pair.clientConnection.stream.descriptor, SOL_SOCKET, SO_LINGER, &reset,
            socklen_t(MemoryLayout<linger>.size))
        pair.clientConnection.close()
        try pair.until { !pair.server.closings.isEmpty }
        #expect(pair.server.closings == [.connectionFailed(errno: ECONNRESET)])
    }

    @Test func connectingToAClosedPortFailsWithTheAddress() throws {
        let loop = try EventLoop()
        let address = try TCPListener(.loopback(port: 0), remedy: "").address
        let end = End()
        let connection = StreamConnection(
            try SocketStream(connectingTo: address), loop: loop, inputByteCountMax: 10,
            outputByteCountMax: 10, delegate: end)
        try connection.start()
        for _ in 0..<1_000 where end.closings.isEmpty { loop.turn(waitMillisecondsMax: 1) }
        #expect(
            end.closings == [.cannotConnect(address: address.description, errno: ECONNREFUSED)])
    }
}
