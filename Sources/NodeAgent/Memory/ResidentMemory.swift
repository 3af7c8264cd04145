import CLinux
import Wire

/// What of this process is in memory and need not be.
enum ResidentMemory {
    /// Drops the executable's own text, most of which only a part of the start or a TLS handshake runs.
    /// What is used comes back from the page cache with a few dozen minor faults.
    static func releaseText() {
        if hw_release_text() < 0 {
            Diagnostics.debug("cannot trim resident memory: \(hw_errno())")
        }
    }

    /// The same, and free memory of the heap, which comings and goings scatter.
    static func trim() {
        hw_malloc_trim()
        releaseText()
    }
}
