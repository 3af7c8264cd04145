import Glibc
import TestSupport
import Wire

@testable import Aggregator

/// A folder in memory that can fail at any call, write half of what it is given, and forget what was
/// not synced, as a machine does that loses power.
final class FaultyLogFiles: LogFiles {
    struct File: Equatable {
        var bytes: [UInt8] = []
        var syncedCount = 0
    }

    var files: [String: File] = [:]
    /// Calls so far that can fail.
    private(set) var callCount = 0
    /// The number of the call that fails, and how.
    var failingCall: Int?
    var failingErrno: Int32 = ENOSPC
    /// Bytes of a failing append that are written all the same.
    var shortBytes = 0
    /// How many calls fail, from the failing one on.
    var failureCount = 1
    /// Called before each call that can fail.
    var willCall: (() -> Void)?

    private func attempt(_ operation: String, _ name: String) throws(LogFileError) {
        callCount += 1
        willCall?()
        guard let failingCall else { return }
        if callCount >= failingCall, callCount - failingCall < failureCount {
            throw LogFileError(operation: operation, path: name, errno: failingErrno)
        }
    }

    func list() throws(LogFileError) -> [String] { Array(files.keys) }

    func size(_ name: String) throws(LogFileError) -> Int { files[name]?.bytes.count ?? 0 }

    func read(
        _ name: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LogFileError) -> Int {
        guard let bytes = files[name]?.bytes, offset < bytes.count else { return 0 }
        let count = min(buffer.count, bytes.count - offset)
        buffer.copyBytes(from: bytes[offset..<offset + count])
        return count
    }

    func create(_ name: String) throws(LogFileError) {
        try attempt("make", name)
        guard files[name] == nil else {
            throw LogFileError(operation: "make", path: name, errno: EEXIST)
        }
        files[name] = File()
    }

    func append(_ name: String, _ bytes: UnsafeRawBufferPointer) throws(LogFileError) {
        do throws(LogFileError) {
            try attempt("write", name)
        } catch {
            files[name]?.bytes.append(contentsOf: bytes.prefix(shortBytes))
            throw error
        }
        files[name]?.bytes.append(contentsOf: bytes)
    }

    func sync(_ name: String) throws(LogFileError) {
        try attempt("sync", name)
        let count = files[name]?.bytes.count ?? 0
        files[name]?.syncedCount = count
    }

    func close(_ name: String) {}

    func truncate(_ name: String, to byteCount: Int) throws(LogFileError) {
        let count = files[name]?.bytes.count ?? 0
        files[name]?.bytes.removeLast(max(0, count - byteCount))
    }

    func remove(_ name: String) throws(LogFileError) { files[name] = nil }

    /// The file that a process had made, and not written a batch to, when it died.
    func leaveSegment(_ bytes: [UInt8]) {
        let newest = files.keys.compactMap { LogSegment.number($0) }.max() ?? 0
        files[LogSegment.name(newest + 1)] = File(bytes: bytes, syncedCount: bytes.count)
    }

    /// What is left after a power cut: of each file what was synced, and any part of the rest. The
    /// disk writes in an order of its own, so blocks before those that are there may be zero.
    func afterPowerCut(
        keeping share: Double, reordered random: inout SeededRandom
    ) -> FaultyLogFiles {
        let left = afterPowerCut(keeping: share)
        for (name, file) in left.files {
            var bytes = file.bytes
            let synced = files[name]?.syncedCount ?? 0
            for start in stride(from: synced, to: bytes.count, by: 64)
            where Int.random(in: 0..<3, using: &random) == 0 {
                for index in start..<min(start + 64, bytes.count) { bytes[index] = 0 }
            }
            left.files[name]?.bytes = bytes
        }
        return left
    }

    func afterPowerCut(keeping share: Double) -> FaultyLogFiles {
        let left = FaultyLogFiles()
        for (name, file) in files {
            let unsynced = file.bytes.count - file.syncedCount
            let kept = file.syncedCount + Int(Double(unsynced) * share)
            left.files[name] = File(bytes: Array(file.bytes[..<kept]), syncedCount: kept)
        }
        return left
    }
}
