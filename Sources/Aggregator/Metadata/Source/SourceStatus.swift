import Synchronization
import Wire

/// How the connection to the apiserver is doing, for `/healthz`, `/metrics` and the log.
final class SourceStatus: Sendable {
    /// Of one kind of object.
    struct Entry: Sendable, Equatable {
        /// When a list was complete for the last time, milliseconds since the epoch; 0 never.
        var listed: Int64 = 0
        /// Since when it fails; `nil` while it works.
        var failingSince: Int64?
        var lastError = ""
        var lists: UInt64 = 0
        var events: UInt64 = 0
        var failures: UInt64 = 0
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let diagnostics = LimitedDiagnostics(perMinute: 6)

    func update(_ resource: WatchedResource, _ body: (inout Entry) -> Void) {
        entries.withLock { body(&$0[resource.resource, default: Entry()]) }
    }

    /// By resource name.
    var snapshot: [String: Entry] { entries.withLock { $0 } }

    /// Whether every resource that is needed was listed once.
    var isSynchronized: Bool {
        let entries = snapshot
        return WatchedResource.all.allSatisfy {
            $0.isOptional || entries[$0.resource].map { $0.listed > 0 } ?? false
        }
    }

    func failed(_ resource: WatchedResource, _ error: SourceError, now: Int64) {
        let words = error.description
        update(resource) { entry in
            entry.failures += 1
            entry.lastError = words
            if entry.failingSince == nil { entry.failingSince = now }
        }
        diagnostics.warning("\(resource.resource): \(words)")
    }

    func worked(_ resource: WatchedResource, now: Int64) {
        let since = entries.withLock { entries in
            let since = entries[resource.resource]?.failingSince
            entries[resource.resource, default: Entry()].failingSince = nil
            return since
        }
        if let since {
            Diagnostics.info(
                "\(resource.resource): the apiserver answers again after \((now - since) / 1_000) s"
            )
        }
    }

    /// A sentence for each resource that fails, with the time since when; empty when all is well.
    var troubles: [String] {
        snapshot.sorted { $0.key < $1.key }.compactMap { name, entry in
            entry.failingSince.map {
                "\(name) not updated since \(RFC3339.string(milliseconds: $0)): \(entry.lastError)"
            }
        }
    }
}
