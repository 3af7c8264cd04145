import Synchronization
import Wire

/// What has come in, for `/metrics`.
final class IngestCounters: Sendable {
    private let frameCount = Atomic<UInt64>(0)
    private let frameBytes = Atomic<UInt64>(0)
    private let connectionCount = Atomic<UInt64>(0)
    private let openCount = Atomic<Int>(0)
    private let rejections = Mutex<[Farewell.Code: UInt64]>([:])

    func frame(byteCount: Int) {
        frameCount.add(1, ordering: .relaxed)
        frameBytes.add(UInt64(byteCount), ordering: .relaxed)
    }

    func connectionOpened() {
        connectionCount.add(1, ordering: .relaxed)
        openCount.add(1, ordering: .relaxed)
    }

    func connectionClosed() { openCount.subtract(1, ordering: .relaxed) }

    func rejected(_ code: Farewell.Code) { rejections.withLock { $0[code, default: 0] += 1 } }

    var frames: UInt64 { frameCount.load(ordering: .relaxed) }
    var bytes: UInt64 { frameBytes.load(ordering: .relaxed) }
    var connections: UInt64 { connectionCount.load(ordering: .relaxed) }
    var openConnections: Int { openCount.load(ordering: .relaxed) }
    var rejectionsByCode: [Farewell.Code: UInt64] { rejections.withLock { $0 } }
}
