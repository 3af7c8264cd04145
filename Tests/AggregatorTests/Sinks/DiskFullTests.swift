import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// A small file system that fills up under the queues, through the whole machinery.
@Suite(.serialized, .enabled(if: geteuid() == 0, "not root: no file system to fill"))
struct DiskFullTests {
    /// A mounted tmpfs of so many bytes.
    private final class SmallDisk {
        let path: String

        init(byteCount: Int) throws {
            path = try BackendServer.makeFolder().path
            let result = try runProcess(
                "mount", ["-t", "tmpfs", "-o", "size=\(byteCount)", "none", path])
            guard result.status == 0 else {
                throw BackendServer.Failure(description: "mount: \(result.output)")
            }
        }

        /// Takes what is left.
        func fill() throws {
            let file = open("\(path)/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            try #require(file >= 0)
            defer { close(file) }
            let block = [UInt8](repeating: 0, count: 4_096)
            while write(file, block, block.count) > 0 {}
            #expect(errno == ENOSPC)
        }

        func clear() throws { try FileManager.default.removeItem(atPath: "\(path)/filler") }

        deinit {
            do {
                let result = try runProcess("umount", ["-l", path])
                if result.status != 0 { print("umount \(path): \(result.output)") }
                try FileManager.default.removeItem(atPath: path)
            } catch {
                print("cannot remove \(path): \(error)")
            }
        }
    }

    private static func make(_ port: UInt16, _ disk: SmallDisk) throws -> SinkSet {
        try SinkRun.make(
            "opentsdb:http://127.0.0.1:\(port)?timeout=2s", dataDirectory: disk.path)
    }

    private static func files(_ disk: SmallDisk) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(disk.path)/sinks/opentsdb")
    }

    /// Nothing stops, it is counted and said, and with room again requests are on the disk again.
    @Test func afterADiskWasFullEverythingIsDelivered() throws {
        let disk = try SmallDisk(byteCount: 512 << 10)
        let server = try SinkBackendServer([.silence(milliseconds: 100)])
        defer { server.stop() }
        let set = try Self.make(server.port, disk)
        let cycles = SinkRun.cycles(12)
        for cycle in cycles[..<3] { set.offer(SinkRun.batch(cycle)) }
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].queuedRequests == 3 })
        #expect(set.statuses[0].fileErrors == 0)
        try disk.fill()
        for cycle in cycles[3..<9] { set.offer(SinkRun.batch(cycle)) }
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].queuedRequests == 9 })
        let full = set.statuses[0]
        #expect(full.fileErrors >= 6 && full.droppedRequests == 0, "\(full)")
        try disk.clear()
        for cycle in cycles[9...] { set.offer(SinkRun.batch(cycle)) }
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].queuedRequests == 12 })
        #expect(set.statuses[0].fileErrors == full.fileErrors)

        // What another process would find: all that was written while there was room.
        let copy = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: copy) }
        try FileManager.default.copyItem(
            atPath: "\(disk.path)/sinks", toPath: copy.appendingPathComponent("sinks").path)
        let sink = try #require(
            try ConfiguredSink.make("opentsdb:http://127.0.0.1:\(server.port)"))
        let next = try SinkSet([sink], dataDirectory: copy.path)
        #expect(next.statuses[0].queuedRequests == 6 && next.statuses[0].damagedRecords == 0)

        server.become([.status(204)])
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].queuedRequests == 0, "\(set.statuses)")
        #expect(set.statuses[0].deliveredPoints == 12 * 25)
        #expect(try Self.files(disk).filter { $0.hasSuffix(".queue") } == [])
    }

    /// The disk is full from the beginning, and the dead-letter file cannot be written either.
    @Test func aDiskThatIsFullFromTheStartStopsNothing() throws {
        let disk = try SmallDisk(byteCount: 64 << 10)
        try FileManager.default.createDirectory(
            atPath: "\(disk.path)/sinks/opentsdb", withIntermediateDirectories: true)
        try disk.fill()
        let server = try SinkBackendServer([.status(204), .status(400, body: "no"), .status(204)])
        defer { server.stop() }
        let set = try Self.make(server.port, disk)
        for cycle in SinkRun.cycles(4) {
            set.offer(SinkRun.batch(cycle))
            usleep(2_000)
        }
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.deliveredRequests == 3 && status.refusedRequests == 1, "\(status)")
        #expect(status.queuedRequests == 0 && status.fileErrors >= 5, "\(status)")
    }
}
