import Glibc

@testable import Aggregator

/// Files in memory that fail when told: the n-th change fails, or the process "dies" there and nothing
/// changes any more.
final class FaultyFiles: QueueFiles {
    enum Fault {
        case none
        case fails(errno: Int32)
        case dies
    }

    var contents: [String: [UInt8]] = [:]
    /// Changes (append, truncate, remove) so far.
    private(set) var changeCount = 0
    var fault = Fault.none
    /// The number of the change at which the fault comes, and of those it lasts for.
    var faultAt = Int.max
    var faultCount = 1
    /// How much of a faulty append is written.
    var tornByteCount = 0
    private(set) var isDead = false

    init(_ contents: [String: [UInt8]] = [:]) { self.contents = contents }

    private func change(_ name: String, _ tear: () -> Void) throws(QueueFileError) {
        if isDead { throw QueueFileError(call: "reach", path: name, errno: EIO) }
        defer { changeCount += 1 }
        guard changeCount >= faultAt, changeCount - faultAt < faultCount else { return }
        switch fault {
        case .none: return
        case .fails(let error):
            tear()
            throw QueueFileError(call: "write", path: name, errno: error)
        case .dies:
            tear()
            isDead = true
            throw QueueFileError(call: "write", path: name, errno: EIO)
        }
    }

    func list() throws(QueueFileError) -> [String] { Array(contents.keys).shuffled() }

    func read(_ name: String, at offset: Int, count: Int) throws(QueueFileError) -> [UInt8] {
        guard let bytes = contents[name] else {
            throw QueueFileError(call: "open", path: name, errno: ENOENT)
        }
        return Array(bytes.dropFirst(offset).prefix(count))
    }

    func append(_ bytes: [UInt8], to name: String) throws(QueueFileError) {
        try change(name) {
            let torn = min(tornByteCount, bytes.count)
            if torn > 0 { contents[name, default: []] += bytes.prefix(torn) }
        }
        contents[name, default: []] += bytes
    }

    func truncate(_ name: String, to byteCount: Int) throws(QueueFileError) {
        try change(name) {}
        if let bytes = contents[name] { contents[name] = Array(bytes.prefix(byteCount)) }
    }

    func synchronize(_ name: String) throws(QueueFileError) {}

    func remove(_ name: String) throws(QueueFileError) {
        try change(name) {}
        contents[name] = nil
    }
}
