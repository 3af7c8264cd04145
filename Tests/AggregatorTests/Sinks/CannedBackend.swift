import Glibc
import Wire

@testable import Aggregator

/// A backend without a network: the n-th request that is written makes the n-th answer readable, then
/// the stream ends.
final class CannedBackend: SinkDialer, @unchecked Sendable {
    /// Used by one delivery on the test's own thread.
    private var answers: [[UInt8]]
    private(set) var connectionCount = 0

    init(_ answers: [[UInt8]]) { self.answers = answers }

    func dial(
        _ endpoint: SinkEndpoint, resolved: SocketAddress
    ) throws(SinkError) -> any ByteStream {
        connectionCount += 1
        return Stream(self)
    }

    /// What deliveries get: this backend, and a minute in which nothing waits.
    var environment: SinkEnvironment { SinkEnvironment(dialer: self, variable: { _ in nil }) }

    private final class Stream: ByteStream {
        private let backend: CannedBackend
        private var readable: [UInt8] = []
        /// Never readable, so that a kept connection looks alive.
        let descriptor: Int32
        private let otherEnd: Int32
        private var isClosed = false

        init(_ backend: CannedBackend) {
            self.backend = backend
            var ends: [Int32] = [-1, -1]
            let made = pipe(&ends)
            precondition(made == 0, "pipe: \(errno)")
            (descriptor, otherEnd) = (ends[0], ends[1])
        }

        var hasBufferedInput: Bool { !readable.isEmpty }
        func establish() -> StreamOutcome { .done(0) }
        func finishWriting() {}

        func write(_ bytes: UnsafeRawBufferPointer) -> StreamOutcome {
            if !backend.answers.isEmpty { readable += backend.answers.removeFirst() }
            return .done(bytes.count)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamOutcome {
            guard !readable.isEmpty else { return .endOfStream }
            // In two pieces, so that every reader meets a cut.
            let count = min(buffer.count, max(1, readable.count / 2))
            buffer.copyBytes(from: readable[..<count])
            readable.removeFirst(count)
            return .done(count)
        }

        func close() {
            guard !isClosed else { return }
            isClosed = true
            Glibc.close(descriptor)
            Glibc.close(otherEnd)
        }
    }
}
