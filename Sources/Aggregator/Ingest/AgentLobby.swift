import Synchronization
import Wire

/// Accepts agents while nobody can talk to them, because the log is being read.
///
/// The kernel lets 4,096 wait as a rule (somaxconn). Whoever comes beyond that is not told, and tries again
/// after 1, 3, 7 and 15 s: of 5,000 agents the last would be there long after the log was read.
final class AgentLobby: @unchecked Sendable {
    // Used by the thread alone until `close`.
    private let listener: TCPListener
    private let countMax: Int
    private let isClosing = Atomic<Bool>(false)

    /// How long `close` may take, milliseconds.
    private static let turnMilliseconds: Int32 = 20

    init(_ listener: TCPListener, countMax: Int) {
        self.listener = listener
        self.countMax = countMax
    }

    /// Runs `body` while agents are let in.
    func whileOpen<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let thread: SystemThread?
        do throws(TransportError) {
            thread = try SystemThread.start(name: "lobby") { [self] in run() }
        } catch {
            Diagnostics.warning("\(error); agents wait until the log is read")
            thread = nil
        }
        defer {
            isClosing.store(true, ordering: .releasing)
            thread?.join()
        }
        return try body()
    }

    private func run() {
        while !isClosing.load(ordering: .acquiring) {
            listener.hold(forMilliseconds: Self.turnMilliseconds, countMax: countMax)
        }
    }
}
