import Synchronization
import Wire

/// The TLS handshakes of one event loop that wait for their next step.
///
/// A step takes up to a millisecond of CPU, as much as dozens of frames, and any stranger can ask for one. So
/// none is made where its bytes are read: all wait for the end of the loop's turn, after every frame
/// that was there, and get a few milliseconds of each turn. Addresses from which agents were welcomed
/// before come first, in order, a few of each: a stranger may share an agent's address (a pod behind its
/// node's). Strangers come last, and of these the newest first: in a flood whoever comes now has a
/// chance, and the old ones would not be done in time anyway.
final class HandshakeQueue {
    private let loop: EventLoop
    private var known: [(connection: StreamConnection, address: SocketAddress)] = []
    /// Before it nothing is left of `known`.
    private var knownStart = 0
    /// How many of each address are among them.
    private var waiting: [SocketAddress: Int] = [:]
    private var strangers: [StreamConnection] = []
    /// As many strangers as there may be before the closed ones are looked for.
    private var strangersMax = HandshakeQueue.fewStrangers
    private var timer: TimerID?
    private var isScheduled = false

    /// What other connections may have to wait for handshakes in one turn.
    static let nanosecondsPerTurn: UInt64 = 5_000_000
    /// Of one address that go before strangers: an agent has one, and another while it changes over.
    static let knownPerAddress = 4
    private static let fewStrangers = 64

    init(loop: EventLoop) { self.loop = loop }

    /// Takes a connection whose next step could be made.
    ///
    /// - Parameter address: its peer's without the port, if an agent was welcomed from there; else `nil`.
    func add(_ connection: StreamConnection, known address: SocketAddress?) {
        if let address, waiting[address, default: 0] < Self.knownPerAddress {
            known.append((connection, address))
            waiting[address, default: 0] += 1
        } else {
            if strangers.count >= strangersMax { forgetClosed() }
            strangers.append(connection)
        }
        schedule(at: loop.now)
    }

    private func forgetClosed() {
        strangers.removeAll { $0.isClosed }
        strangersMax = max(strangers.count * 2, Self.fewStrangers)
    }

    private func schedule(at time: UInt64) {
        guard !isScheduled else { return }
        let timer = timer ?? loop.makeTimer { [unowned self] in run() }
        self.timer = timer
        loop.schedule(timer, atNanoseconds: time)
        isScheduled = true
    }

    private func run() {
        isScheduled = false
        let start = loop.clock.monotonicNanoseconds
        while let connection = next() {
            connection.continueHandshake()
            if loop.clock.monotonicNanoseconds &- start >= Self.nanosecondsPerTurn { break }
        }
        // Not due before the next turn.
        if knownStart < known.count || !strangers.isEmpty { schedule(at: loop.now &+ 1) }
    }

    private func next() -> StreamConnection? {
        guard knownStart < known.count else { return strangers.popLast() }
        let (connection, address) = known[knownStart]
        knownStart += 1
        let left = (waiting[address] ?? 1) - 1
        waiting[address] = left > 0 ? left : nil
        if knownStart == known.count {
            known.removeAll(keepingCapacity: true)
            knownStart = 0
        }
        return connection
    }
}

/// Addresses from which an agent was welcomed. Any thread may use it.
final class KnownAddresses: Sendable {
    private let countMax: Int
    private let addresses = Mutex<Set<SocketAddress>>([])

    init(countMax: Int) { self.countMax = countMax }

    /// The peer's address without its port, if it is one of them.
    func address(of peer: SocketAddress) -> SocketAddress? {
        let address = peer.withPort(0)
        return addresses.withLock { $0.contains(address) } ? address : nil
    }

    /// Takes one more; where there are too many another goes, whichever.
    func insert(_ peer: SocketAddress) {
        addresses.withLock { addresses in
            let address = peer.withPort(0)
            if addresses.count >= countMax, !addresses.contains(address) {
                _ = addresses.popFirst()
            }
            addresses.insert(address)
        }
    }
}
