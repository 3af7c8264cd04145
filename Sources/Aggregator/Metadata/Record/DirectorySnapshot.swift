import Synchronization
import Wire

/// Everything that a directory knows at one moment, to be written down: references only, so that
/// taking one of 150,000 pods holds the directory's lock for milliseconds. `encode` does the work
/// later, on any thread.
///
/// Applied to an empty directory, the changes make it equal: with departed pods until their window
/// ends, and the earlier containers of pods that are there.
struct DirectorySnapshot: Sendable {
    /// A state of a pod that is over.
    struct Departure: Sendable {
        /// When it ended, milliseconds since the epoch.
        let time: Int64
        let pod: Pod
        /// What the pod was from then on; `nil` when it had gone.
        let successor: Pod?
    }

    /// A replica set or job.
    struct Owned: Sendable {
        let uid: ObjectUID
        let object: DirectoryState.Owned
        /// When it went; `nil` while it is there.
        let departed: Int64?
    }

    /// When it was taken, milliseconds since the epoch.
    let time: Int64
    var owned: [Owned] = []
    var namespaces: [Namespace] = []
    var nodes: [Node] = []
    /// In the order of time.
    var departures: [Departure] = []
    var pods: [Pod] = []

    /// Hands over the changes as pieces that each stand alone (`MetadataDecoder`), in order; none
    /// for an empty directory.
    ///
    /// - Parameter pieceByteCount: a piece is ended with the change that reaches it. The largest
    ///   object of an apiserver is 1.5 MiB, so it is longer by that at most.
    func encode(pieceByteCount: Int = 1 << 20, _ body: ([UInt8]) -> Void) {
        var encoder = MetadataEncoder()
        func put(_ change: MetadataChange, _ time: Int64) {
            encoder.append(TimedChange(time: time, change: change))
            if encoder.byteCount >= pieceByteCount { body(encoder.finish()) }
        }
        for (time, owned) in owned.map({ ($0.departed ?? time, $0) }) {
            let object = owned.object
            put(
                .owned(
                    OwnedObject(
                        kind: object.kind.name, namespace: object.namespace, name: object.name,
                        uid: owned.uid, controller: object.controller)), time)
            if owned.departed != nil { put(.ownedRemoved(owned.uid), time) }
        }
        for namespace in namespaces { put(.namespace(namespace), time) }
        for node in nodes { put(.node(node), time) }
        for departure in departures {
            put(.pod(departure.pod), departure.time)
            if let successor = departure.successor {
                put(.pod(successor), departure.time)
            } else {
                put(.podRemoved(departure.pod.uid), departure.time)
            }
        }
        for pod in pods { put(.pod(pod), time) }
        if !encoder.isEmpty { body(encoder.finish()) }
    }
}

extension DirectoryState.OwnedKind {
    var name: String {
        switch self {
        case .replicaSet: "ReplicaSet"
        case .job: "Job"
        case .other: "Other"
        }
    }
}

extension PodDirectory {
    /// Takes a snapshot.
    ///
    /// - Parameters:
    ///   - now: milliseconds since the epoch.
    ///   - body: called with it under the lock, before any later change is told to the observer: what
    ///     it notes and what the observer notes are in the right order. It must be quick and must not
    ///     ask the directory.
    func takeSnapshot(now: Int64, _ body: (DirectorySnapshot) -> Void) {
        withState { body($0.snapshot(now: now)) }
    }

    /// Applies changes that were written down, each at its own time: before the source starts.
    ///
    /// - Throws: what `MetadataDecoder` throws. Nothing of the piece is applied then.
    func restore(
        _ piece: UnsafeRawBufferPointer, _ decoder: inout MetadataDecoder
    ) throws(WireError) {
        var rest = try decoder.decode(piece)[...]
        while let first = rest.first {
            let batch = rest.prefix { $0.time == first.time }
            rest = rest.dropFirst(batch.count)
            apply(batch.lazy.map(\.change), now: first.time)
            noteRestored(first.time)
        }
    }
}
