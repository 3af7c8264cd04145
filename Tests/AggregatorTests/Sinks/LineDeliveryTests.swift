import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Lines over TCP to servers that end their side, and to such that never do.
struct LineDeliveryTests {
    /// Reads everything of one connection after the other.
    private final class LineReceiver: @unchecked Sendable {
        enum Manner { case ends, staysOpen, resets }

        var port: UInt16 { listener.port }
        private let listener: LoopbackListener
        private let lock = Lock()
        private var manner: Manner
        private var text = ""
        private var open: [Int32] = []
        private var isOver = false
        private var thread: SystemThread?

        init(_ manner: Manner) throws {
            self.manner = manner
            listener = try LoopbackListener()
            thread = try SystemThread.start(name: "lines") { [self] in serve() }
        }

        var received: String { lock.withLock { text } }
        func become(_ manner: Manner) { lock.withLock { self.manner = manner } }

        func stop() {
            lock.withLock { isOver = true }
            listener.interrupt()
            thread?.join()
            listener.close()
            for descriptor in open { close(descriptor) }
        }

        private func serve() {
            while let connection = listener.accept() {
                guard !lock.withLock({ isOver }) else { return }
                let manner = lock.withLock { self.manner }
                if manner == .resets {
                    var linger = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(
                        connection, SOL_SOCKET, SO_LINGER, &linger,
                        socklen_t(MemoryLayout<linger>.size))
                    close(connection)
                    continue
                }
                var block = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = recv(connection, &block, block.count, 0)
                    guard count > 0 else { break }
                    lock.withLock { text += String(decoding: block[..<count], as: UTF8.self) }
                }
                if manner == .ends { close(connection) } else { open.append(connection) }
            }
        }
    }

    private let most: UInt64 = 800_000_000

    private func make(_ receiver: LineReceiver) -> LineDelivery {
        LineDelivery(
            SinkEndpoint(address: HostAndPort(host: "127.0.0.1", port: receiver.port)),
            environment: SinkEnvironment(), patienceMaxNanoseconds: most)
    }

    private func deliver(_ delivery: LineDelivery, _ number: Int) -> DeliveryOutcome {
        delivery.deliver(
            SinkRequest(cycle: 0, pointCount: 1, body: Array("line \(number)\n".utf8)),
            deadline: Clock.system.monotonicNanoseconds + 60_000_000_000)
    }

    @Test func aServerThatNeverEndsIsWaitedForLessAndLess() throws {
        let receiver = try LineReceiver(.staysOpen)
        defer { receiver.stop() }
        let delivery = make(receiver)
        var patience = most
        for number in 1...8 {
            #expect(deliver(delivery, number) == .accepted)
            patience = max(LineDelivery.patienceMin, patience / 2)
            #expect(delivery.patience == patience, "\(number)")
        }
        #expect(patience == LineDelivery.patienceMin)
        let lines = (1...8).map { "line \($0)\n" }
        #expect(SinkRun.wait(seconds: 60) { receiver.received == lines.joined() })
        // One that ends is given all the time again.
        receiver.become(.ends)
        #expect(
            SinkRun.wait(seconds: 60) {
                deliver(delivery, 9) == .accepted && delivery.patience == most
            })
    }

    @Test func aConnectionThatIsResetIsNoYes() throws {
        let receiver = try LineReceiver(.resets)
        defer { receiver.stop() }
        let delivery = make(receiver)
        guard case .failed(let reason, _) = deliver(delivery, 1) else {
            Issue.record("a reset was taken for a yes")
            return
        }
        #expect(!reason.isEmpty && delivery.patience == most)
        receiver.become(.ends)
        #expect(deliver(delivery, 2) == .accepted)
        #expect(receiver.received == "line 2\n")
    }

    /// Nothing reads, and more is sent than kernels keep.
    @Test func aServerThatReadsNothingIsNoYes() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let port = try LoopbackListener.freePort()
        address.sin_port = port.bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(bound == 0 && listen(listener, 1) == 0)
        let delivery = LineDelivery(
            SinkEndpoint(address: HostAndPort(host: "127.0.0.1", port: port)),
            environment: SinkEnvironment(), patienceMaxNanoseconds: most)
        let outcome = delivery.deliver(
            SinkRequest(cycle: 0, pointCount: 1, body: [UInt8](repeating: 0x61, count: 16 << 20)),
            deadline: Clock.system.monotonicNanoseconds + 1_000_000_000)
        guard case .failed = outcome else {
            Issue.record("\(outcome)")
            return
        }
    }
}
