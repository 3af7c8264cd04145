import CLinux
import Glibc

/// Signals as events of a loop, through signalfd(2): for a program of one thread.
///
/// Make it before any thread is started: all inherit the blocked signals. SIGPIPE is ignored; a
/// broken connection is an error of the write.
public final class SignalDescriptor: ReadinessHandler {
    private let descriptor: Int32
    private var received: ((Int32) -> Void)?

    /// - Throws: `TransportError.system` when the process is out of descriptors.
    public init(_ signals: [Int32]) throws(TransportError) {
        signal(SIGPIPE, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        for number in signals { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = signalfd(
            -1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
        guard descriptor >= 0 else { throw .system(call: "signalfd", errno: errno) }
    }

    deinit { close(descriptor) }

    /// Calls `received` with the number of each signal, on the loop's thread.
    public func start(
        on loop: EventLoop, _ received: @escaping (Int32) -> Void
    ) throws(TransportError) {
        self.received = received
        try loop.add(descriptor, interest: .read, handler: self)
    }

    public func ready(_ readiness: Readiness) {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while read(descriptor, &information, size) == size {
            received?(Int32(bitPattern: information.ssi_signo))
        }
    }
}
