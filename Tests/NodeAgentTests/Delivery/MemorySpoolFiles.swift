import Glibc
import Synchronization

@testable import NodeAgent

/// A spool directory in memory, of which any call can fail.
final class MemorySpoolFiles: SpoolFiles {
    struct State {
        var files: [String: [UInt8]] = [:]
        /// Open files by descriptor.
        var open: [Int32: String] = [:]
        var callCount = 0
        /// The call that fails next, counted from 0; then `failingCalls` in a row.
        var failsAt = Int.max
        var failingCalls = 1
        var failedCount = 0
        /// Bytes that there is room for.
        var capacity = Int.max
        var peakByteCount = 0

        var byteCount: Int { files.values.reduce(0) { $0 + $1.count } }
    }

    let state = Mutex(State())

    init(_ files: [String: [UInt8]] = [:]) { state.withLock { $0.files = files } }

    var files: [String: [UInt8]] { state.withLock { $0.files } }

    private func call<Result: Sendable>(
        _ name: String, _ body: (inout State) -> Swift.Result<Result, SpoolFileError>
    ) throws(SpoolFileError) -> Result {
        let result = state.withLock { state -> Swift.Result<Result, SpoolFileError> in
            let number = state.callCount
            state.callCount += 1
            if number >= state.failsAt, number - state.failsAt < state.failingCalls {
                state.failedCount += 1
                return .failure(SpoolFileError(call: name, name: "memory", errno: EIO))
            }
            let result = body(&state)
            state.peakByteCount = max(state.peakByteCount, state.byteCount)
            return result
        }
        return try result.get()
    }

    func list() throws(SpoolFileError) -> [String] {
        try call("list") { .success($0.files.keys.sorted(by: >) + [".", "..", "lock"]) }
    }

    func read(_ name: String, byteLimit: Int) throws(SpoolFileError) -> [UInt8] {
        try call("read") { state -> Swift.Result<[UInt8], SpoolFileError> in
            guard let bytes = state.files[name] else {
                return .failure(SpoolFileError(call: "open", name: name, errno: ENOENT))
            }
            return .success(Array(bytes.prefix(byteLimit)))
        }
    }

    func create(_ name: String) throws(SpoolFileError) -> Int32 {
        try call("create") { state in
            let descriptor = (state.open.keys.max() ?? 2) + 1
            state.files[name] = []
            state.open[descriptor] = name
            return .success(descriptor)
        }
    }

    func append(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(SpoolFileError) {
        let copy = Array(bytes)
        try call("append") { state -> Swift.Result<Void, SpoolFileError> in
            guard let name = state.open[descriptor] else {
                return .failure(SpoolFileError(call: "append", name: "?", errno: EBADF))
            }
            let room = state.capacity - state.byteCount
            state.files[name]?.append(contentsOf: copy.prefix(max(0, room)))
            return copy.count <= room
                ? .success(()) : .failure(SpoolFileError(call: "append", name: name, errno: ENOSPC))
        }
    }

    func sync(_ descriptor: Int32) throws(SpoolFileError) {
        try call("sync") { _ in .success(()) }
    }

    func close(_ descriptor: Int32) { state.withLock { $0.open[descriptor] = nil } }

    func remove(_ name: String) throws(SpoolFileError) {
        try call("remove") { state in
            state.files[name] = nil
            return .success(())
        }
    }
}
