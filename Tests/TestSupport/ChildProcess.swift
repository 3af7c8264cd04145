import Foundation
import Glibc

extension Process {
    /// Runs it with no signal blocked. A child takes its signal mask from the thread that starts it, and
    /// threads of Dispatch's pool, on which tests run, block nearly all: SIGTERM would not end it.
    public func start() throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try run()
    }
}
