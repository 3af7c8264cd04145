import Glibc
import Synchronization
import Wire

/// The file of `--pods=FILE`: a list as `kubectl get pods -A -o json` prints it, also one with nodes,
/// namespaces, replica sets and jobs (`kubectl get pods,nodes,namespaces,replicasets,jobs -A -o json`).
///
/// Names without an apiserver. The file is the whole truth: what it no longer lists has gone. It is
/// read again when its time, size or inode changes; a broken file leaves the names as they were.
final class PodListFile: Sendable {
    let path: String
    private let lastSeen = Mutex<Stamp?>(nil)

    /// Tells one content of the file from the next.
    private struct Stamp: Equatable {
        let inode: UInt64
        let size: Int64
        let modifiedSeconds: Int
        let modifiedNanoseconds: Int
    }

    init(path: String) { self.path = path }

    /// Reads the file and puts its objects into the directory. `now` in milliseconds.
    func load(into directory: PodDirectory, now: Int64) throws(PodListError) {
        _ = try read(into: directory, now: now, onlyIfChanged: false)
    }

    /// `load` if the file changed since it was last tried: a broken version is reported once.
    ///
    /// - Returns: whether it was read.
    func reloadIfChanged(into directory: PodDirectory, now: Int64) throws(PodListError) -> Bool {
        try read(into: directory, now: now, onlyIfChanged: true)
    }

    private func read(
        into directory: PodDirectory, now: Int64, onlyIfChanged: Bool
    ) throws(PodListError) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, errno: errno) }
        defer { close(descriptor) }
        let stamp = try stamp(of: descriptor)
        if onlyIfChanged, lastSeen.withLock({ $0 == stamp }) { return false }
        // Also when it fails: the same content would fail again.
        lastSeen.withLock { $0 = stamp }
        let objects = try objects(from: descriptor)
        directory.replaceNamespaces(objects.namespaces, now: now)
        directory.replaceNodes(objects.nodes, now: now)
        for kind in ["ReplicaSet", "Job"] {
            directory.replaceOwned(
                kind: kind, objects.owned.filter { $0.kind == kind }, now: now)
        }
        directory.replacePods(objects.pods, now: now)
        return true
    }

    private func stamp(of descriptor: Int32) throws(PodListError) -> Stamp {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .unreadable(path: path, errno: errno)
        }
        return Stamp(
            inode: UInt64(status.st_ino), size: Int64(status.st_size),
            modifiedSeconds: status.st_mtim.tv_sec, modifiedNanoseconds: status.st_mtim.tv_nsec)
    }

    private func objects(
        from descriptor: Int32
    ) throws(PodListError) -> ObjectListReader.Objects {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { buffer.deallocate() }
        var list = ObjectListReader()
        var byteCount = 0
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(path: path, errno: errno) }
            if count == 0 { break }
            let piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            // YAML is what people have at hand: say so before the grammar does.
            if byteCount == 0, let first = piece.first(where: { $0 > 0x20 }),
                first != UInt8(ascii: "{")
            {
                throw .notJSON(path: path)
            }
            byteCount += count
            do {
                try list.read(piece)
            } catch {
                throw .unusable(path: path, error)
            }
        }
        guard byteCount > 0 else { throw .empty(path: path) }
        return try finish(&list)
    }

    private func finish(
        _ list: inout ObjectListReader
    ) throws(PodListError) -> ObjectListReader.Objects {
        let envelope: ObjectListReader.Envelope
        do {
            envelope = try list.finish()
        } catch {
            throw .unusable(path: path, error)
        }
        let objects = list.objects
        let isUseless =
            objects.pods.isEmpty && objects.nodes.isEmpty && objects.namespaces.isEmpty
        if isUseless, objects.others > 0 || !objects.owned.isEmpty {
            throw .noPods(path: path, kind: envelope.kind)
        }
        return objects
    }
}

/// A file of pods that cannot be used.
enum PodListError: Error, Equatable {
    case unreadable(path: String, errno: Int32)
    case empty(path: String)
    case notJSON(path: String)
    case unusable(path: String, ObjectError)
    /// It lists objects, but none that names anything.
    case noPods(path: String, kind: String)
}

extension PodListError: CustomStringConvertible {
    var description: String {
        let make = "make one with: kubectl get pods -A -o json"
        switch self {
        case .unreadable(let path, let errno):
            return "cannot read the pods from \(path): \(systemErrorText(errno))"
        case .empty(let path): return "\(path) is empty; \(make)"
        case .notJSON(let path): return "\(path) is not JSON (is it YAML?); \(make)"
        case .unusable(let path, let error):
            return "cannot use \(path) as a list of pods: \(error); \(make)"
        case .noPods(let path, let kind):
            return "\(path) is a \(kind) without pods, nodes or namespaces; \(make)"
        }
    }
}
