import CLinux
import Glibc

/// A POSIX thread. Not named `Thread`: files that import Foundation already have one.
///
/// The body is `@Sendable`, so it belongs to no actor: a closure that inherited the main actor
/// would compile and then die on the first instruction in another thread.
public struct SystemThread: @unchecked Sendable {
    private let handle: pthread_t

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: shown by `ps -T` and in /proc/PID/task/TID/comm; the kernel keeps 15 bytes.
    ///   - stackByteCount: address space, not memory; pages are used when touched.
    /// - Throws: `TransportError.system` when the kernel has no thread left to give.
    public static func start(
        name: String, stackByteCount: Int = 1 << 20, _ body: @escaping @Sendable () -> Void
    ) throws(TransportError) -> SystemThread {
        let start = Unmanaged.passRetained(StartBlock(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackByteCount)
        var handle = pthread_t()
        let result = pthread_create(&handle, &attributes, threadMain, start.toOpaque())
        guard result == 0 else {
            start.release()
            throw .system(call: "pthread_create", errno: result)
        }
        return SystemThread(handle: handle)
    }

    /// Waits for the thread's end. Call it once.
    public func join() {
        let result = pthread_join(handle, nil)
        precondition(result == 0, "pthread_join failed: \(result)")
    }

    /// Lets the thread end on its own; `join` must not be called afterwards.
    public func detach() {
        let result = pthread_detach(handle)
        precondition(result == 0, "pthread_detach failed: \(result)")
    }
}

/// What the new thread needs to know, carried through `pthread_create` as a retained object.
private final class StartBlock: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<StartBlock>.fromOpaque(argument).takeRetainedValue()
    hw_set_thread_name(start.name)
    start.body()
    return nil
}
