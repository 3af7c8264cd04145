/// What one attempt to move bytes came to. Never blocks, so "not now" is an answer.
public enum StreamOutcome: Equatable, Sendable {
    /// So many bytes were moved (more than 0), or the step is complete.
    case done(Int)
    /// Try again when the descriptor is readable. TLS may want to read in order to write.
    case wantsRead
    /// Try again when the descriptor is writable.
    case wantsWrite
    /// The peer will send nothing more.
    case endOfStream
    case failed(TransportError)
}

/// An ordered stream of bytes over a nonblocking descriptor: a socket, or TLS above one.
public protocol ByteStream: AnyObject {
    /// What to watch for readiness.
    var descriptor: Int32 { get }
    /// True while bytes wait above the descriptor, where epoll cannot see them.
    var hasBufferedInput: Bool { get }
    /// Completes connecting and any handshake; `.done` when bytes can flow. Call it until then.
    func establish() -> StreamOutcome
    func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamOutcome
    func write(_ bytes: UnsafeRawBufferPointer) -> StreamOutcome
    /// Tells the peer that nothing more will come. Reading stays possible.
    func finishWriting()
    /// Gives the descriptor back to the kernel. Call it once, last.
    func close()
}
