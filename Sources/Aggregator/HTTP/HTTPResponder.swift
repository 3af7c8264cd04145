import Synchronization
import Wire

/// The promise of an answer, kept on any thread. Letting go of it unanswered answers 500, so that
/// no client waits for what nobody does.
final class HTTPResponder: Sendable {
    private let connection: LoopConfined<HTTPConnection>
    private let loop: EventLoop
    private let number: UInt64
    private let isCompleted = Atomic<Bool>(false)

    init(_ connection: LoopConfined<HTTPConnection>, _ loop: EventLoop, number: UInt64) {
        self.connection = connection
        self.loop = loop
        self.number = number
    }

    /// Sends the answer. A second answer, or one after the time limit, is dropped.
    func complete(_ response: HTTPResponse) {
        guard !isCompleted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.post { [connection, number] in connection.value.complete(number, response) }
    }

    deinit {
        guard !isCompleted.load(ordering: .acquiring) else { return }
        loop.post { [connection, number] in
            connection.value.complete(number, .text(.internalServerError, "no answer was made\n"))
        }
    }
}
