import Glibc

/// SIGINT and SIGTERM as something to wait for.
///
/// Make it before any thread is started: all inherit the blocked signals, and the one that waits
/// gets them. SIGPIPE is ignored; a broken connection is an error of the write.
public struct StopSignals {
    private var set = sigset_t()

    public init() {
        signal(SIGPIPE, SIG_IGN)
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Sleeps until one comes; returns its name.
    public func wait() -> String {
        var received: Int32 = 0
        var set = set
        while sigwait(&set, &received) != 0 {}
        return received == SIGINT ? "SIGINT" : "SIGTERM"
    }
}
