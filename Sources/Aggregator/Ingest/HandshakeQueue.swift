import Synchronization
import Wire

/// The TLS handshakes of one event loop that wait for their next step.
///
/// A step takes up to a millisecond of CPU, as much as dozens of frames, and any stranger can ask for one. So
/// none is made where its bytes are read: all wait for the end of the loop's turn, after every frame
/// that was there, and get a few milliseconds of each turn. Addresses from which agents were welcomed
/// before come first, in order; strangers last, and of these the newest first: in a flood whoever comes
/// now has a chance, and the old ones would not be done in time anyway.
final class HandshakeQueue {
    private let loop: EventLoop
    private var known: [StreamConnection] = []
    /// Before it nothing is left of `known`.
    private var knownStart = 0
    private var strangers: [StreamConnection] = []
    /// As many strangers as there may be before the closed ones are looked for.
    private var strangersMax = HandshakeQueue.fewStrangers
    private var timer: TimerID?
    private var isScheduled = false

    /// What other connections may have to wait for handshakes in one turn.
    static let nanosecondsPerTurn: UInt64 = 5_000_000
    private static let fewStrangers = 64

    init(loop: EventLoop) { self.loop = loop }

    /// Takes a connection whose next step could be made.
    func add(_ connection: StreamConnection, isKnown: Bool) {
        if isKnown {
            known.append(connection)
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
        let connection = known[knownStart]
        knownStart += 1
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

    func contains(_ peer: SocketAddress) -> Bool {
        addresses.withLock { $0.contains(peer.withPort(0)) }
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
