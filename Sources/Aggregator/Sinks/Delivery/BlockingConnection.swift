import Glibc
import Wire

/// A byte stream for a thread that has nothing else to do: each call waits with poll(2) until it is
/// done or its deadline has come.
final class BlockingConnection {
    private let stream: any ByteStream
    private let clock: Clock
    /// Received and not yet taken.
    private var buffer: [UInt8] = []
    private var bufferStart = 0
    /// Where each read puts its bytes first.
    private let scratch = Scratch()

    /// An object of its own, so that it goes also where connecting fails.
    private final class Scratch {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 16)
        deinit { bytes.deallocate() }
    }

    /// - Parameter deadline: see `dial`.
    init(
        to endpoint: SinkEndpoint, environment: SinkEnvironment, deadline: UInt64
    ) throws(SinkError) {
        clock = environment.clock
        stream = try Self.dial(endpoint, environment: environment, deadline: deadline)
    }

    /// Resolves and connects, trying each address in turn.
    ///
    /// - Parameter deadline: monotonic nanoseconds, for the whole.
    static func dial(
        _ endpoint: SinkEndpoint, environment: SinkEnvironment, deadline: UInt64
    ) throws(SinkError) -> any ByteStream {
        let addresses: [SocketAddress]
        do throws(TransportError) {
            addresses = try endpoint.address.resolve()
        } catch {
            throw .transport(error)
        }
        var failure = SinkError.timedOut(what: "connecting to \(endpoint.address)")
        for address in addresses {
            do throws(SinkError) {
                let stream = try environment.dialer.dial(endpoint, resolved: address)
                do throws(SinkError) {
                    try establish(stream, endpoint, environment.clock, deadline)
                } catch {
                    stream.close()
                    throw error
                }
                return stream
            } catch {
                failure = error
            }
        }
        throw failure
    }

    deinit { stream.close() }

    /// Sends all of it.
    func write(_ bytes: [UInt8], deadline: UInt64) throws(SinkError) {
        var offset = 0
        while offset < bytes.count {
            let outcome = bytes.withUnsafeBytes {
                stream.write(UnsafeRawBufferPointer(rebasing: $0[offset...]))
            }
            switch outcome {
            case .done(let count): offset += count
            case .wantsRead: try wait(POLLIN, deadline, "sending")
            case .wantsWrite: try wait(POLLOUT, deadline, "sending")
            case .endOfStream: throw .endOfStream(what: "while sending")
            case .failed(let error): throw .transport(error)
            }
        }
    }

    /// Exactly `count` bytes.
    func read(_ count: Int, deadline: UInt64) throws(SinkError) -> [UInt8] {
        while buffer.count - bufferStart < count {
            guard try receive(deadline: deadline) else {
                throw .endOfStream(what: "while answering")
            }
        }
        return take(count)
    }

    /// All bytes up to and including the next line feed, which is left out with a CR before it.
    func readLine(limit: Int, deadline: UInt64) throws(SinkError) -> [UInt8] {
        var searched = bufferStart
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                var line = take(end + 1 - bufferStart)
                line.removeLast()
                if line.last == 0x0D { line.removeLast() }
                return line
            }
            guard buffer.count - bufferStart <= limit else {
                throw .malformedAnswer("a line is longer than \(limit) bytes")
            }
            let waiting = buffer.count - bufferStart
            guard try receive(deadline: deadline) else {
                throw .endOfStream(what: "while answering")
            }
            searched = bufferStart + waiting
        }
    }

    /// What a peer made of the end of this side.
    enum End: Equatable {
        /// It read everything and ended its own side.
        case closed
        /// It left its side open; its kernel has every byte.
        case leftOpen
        /// Its kernel does not have every byte.
        case unread
    }

    /// Ends this side and waits until the peer ends its own.
    ///
    /// - Parameters:
    ///   - patience: from then on it is enough that the peer's kernel has every byte.
    ///   - deadline: for that.
    func finish(patience: UInt64, deadline: UInt64) throws(SinkError) -> End {
        stream.finishWriting()
        var until = min(patience, deadline)
        while true {
            do throws(SinkError) {
                while try receive(deadline: until) { buffer.removeAll(keepingCapacity: true) }
                return .closed
            } catch {
                guard case .timedOut = error else { throw error }
            }
            var unacknowledged: Int32 = 0
            guard ioctl(stream.descriptor, UInt(TIOCOUTQ), &unacknowledged) == 0 else {
                throw .transport(.system(call: "ioctl", errno: errno))
            }
            if unacknowledged == 0 { return .leftOpen }
            let now = clock.monotonicNanoseconds
            if now >= deadline { return .unread }
            until = min(deadline, now + 20_000_000)
        }
    }

    /// Whether the peer has closed or broken the connection, or sent something unasked, as far as
    /// can be told without waiting.
    var isStale: Bool {
        if buffer.count > bufferStart || stream.hasBufferedInput { return true }
        var state = pollfd(fd: stream.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) != 0
    }

    private func take(_ count: Int) -> [UInt8] {
        let bytes = Array(buffer[bufferStart..<(bufferStart + count)])
        bufferStart += count
        if bufferStart == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 20)
            bufferStart = 0
        }
        return bytes
    }

    /// Waits for more bytes; false at the end of the stream.
    private func receive(deadline: UInt64) throws(SinkError) -> Bool {
        if bufferStart > 0 {
            buffer.removeSubrange(..<bufferStart)
            bufferStart = 0
        }
        while true {
            let outcome = stream.read(into: scratch.bytes)
            if case .done(let count) = outcome {
                buffer.append(contentsOf: scratch.bytes[..<count])
                return true
            }
            switch outcome {
            case .done: break
            case .wantsRead: try wait(POLLIN, deadline, "waiting for an answer")
            case .wantsWrite: try wait(POLLOUT, deadline, "waiting for an answer")
            case .endOfStream: return false
            case .failed(let error): throw .transport(error)
            }
        }
    }

    private func wait(_ events: Int32, _ deadline: UInt64, _ what: String) throws(SinkError) {
        try Self.wait(stream, events, clock, deadline, what)
    }

    private static func establish(
        _ stream: any ByteStream, _ endpoint: SinkEndpoint, _ clock: Clock, _ deadline: UInt64
    ) throws(SinkError) {
        while true {
            let what = "connecting to \(endpoint.address)"
            switch stream.establish() {
            case .done: return
            case .wantsRead: try wait(stream, POLLIN, clock, deadline, what)
            case .wantsWrite: try wait(stream, POLLOUT, clock, deadline, what)
            case .endOfStream: throw .endOfStream(what: "while \(what)")
            case .failed(let error): throw .transport(error)
            }
        }
    }

    private static func wait(
        _ stream: any ByteStream, _ events: Int32, _ clock: Clock, _ deadline: UInt64,
        _ what: String
    ) throws(SinkError) {
        while true {
            let now = clock.monotonicNanoseconds
            guard now < deadline else { throw .timedOut(what: what) }
            let milliseconds = min((deadline - now + 999_999) / 1_000_000, 60_000)
            var state = pollfd(fd: stream.descriptor, events: Int16(events), revents: 0)
            let result = poll(&state, 1, Int32(milliseconds))
            if result > 0 { return }
            guard result == 0 || errno == EINTR else {
                throw .transport(.system(call: "poll", errno: errno))
            }
        }
    }
}
