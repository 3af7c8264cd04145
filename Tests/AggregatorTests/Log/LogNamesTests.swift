import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

private typealias Make = MetadataMaker

/// Names are there after a restart, whatever the apiserver does.
@Suite struct LogNamesTests {
    private func makeCluster(_ directory: PodDirectory) -> Cluster {
        Cluster(configuration: ModelConfiguration(), facts: directory)
    }

    private func start(_ folder: URL, _ directory: PodDirectory) throws -> DurableLog {
        var configuration = LogConfiguration()
        configuration.syncMilliseconds = 20
        return try DurableLog(
            folder: folder.path, configuration: configuration, cluster: makeCluster(directory),
            directory: directory, threadCount: 2)
    }

    @Test func namesComeFromTheLogWhileTheAPIServerIsAway() throws {
        let folder = try TemporaryFolder()
        // Who went is forgotten after a while: the log's thread goes by the system's clock.
        let now = Int64(Date().timeIntervalSince1970) * 1_000 - 10_000
        let before = PodDirectory()
        let first = try start(folder.url, before)
        before.apply((1...50).map { .pod(Make.pod($0, containers: [$0])) }, now: now)
        before.apply(.pod(Make.pod(7, name: "renamed", containers: [7])), now: now + 1_000)
        before.apply(.podRemoved(Make.uid(9)), now: now + 2_000)
        first.stop()
        // Twice: what was restored is written again.
        for _ in 0..<2 {
            let directory = PodDirectory()
            let log = try start(folder.url, directory)
            defer { log.stop() }
            #expect(directory.counts.pods == 49)
            #expect(directory.counts.departedPods == 1)
            #expect(directory.pod(uid: Make.uid(7))?.name == "renamed")
            // Who went keeps its name.
            #expect(directory.pod(uid: Make.uid(9))?.name == "pod-9")
            #expect(directory.container(id: Make.containerID(12))?.container.name == "c0")
            let status = SourceStatus()
            status.failed(.pods, .expired, now: now + 60_000)
            let health = MetadataMetrics(directory: directory, status: status).health
            #expect(health.hasPrefix("ok\n"))
            let words = try #require(
                health.firstMatch(of: /names are as of ([-0-9T:.]+Z), from the log/), "\(health)")
            let time = try #require(RFC3339.milliseconds(parsing: String(words.1)))
            // When the log was written: after the last change, before now.
            let later = Int64(Date().timeIntervalSince1970 * 1_000) + 1
            #expect((now + 2_000...later).contains(time))
            for resource in WatchedResource.all {
                status.worked(resource, now: now)
                status.update(resource) { $0.listed = now }
            }
            #expect(MetadataMetrics(directory: directory, status: status).health == "ok")
        }
    }

    @Test func changesThatWaitForADiskThatHangsAreBounded() throws {
        let files = FaultyLogFiles()
        let directory = PodDirectory()
        let names = LogNames(directory, waitingByteCountMax: 2_000)
        let writer = LogWriter(
            files: files, firstSegment: 1, configuration: LogConfiguration())
        func commit() {
            names.prepare(writer, now: 1)
            writer.cut(now: 1) { names.append(to: &$0) }
            #expect(writer.write(now: 1))
        }
        commit()
        for number in 1...300 {
            directory.apply(.pod(Make.pod(number, containers: [number])), now: 1_000)
            #expect(names.waitingByteCount <= 2_000)
        }
        commit()
        directory.apply(.pod(Make.pod(301)), now: 1_000)
        #expect(names.waitingByteCount > 0)
        commit()
        #expect(names.waitingByteCount == 0)
        let restored = PodDirectory()
        let report = try LogRestorer(
            files: files, cluster: makeCluster(restored), directory: restored
        ).restore()
        #expect(report.losses == NodeRestorer.Losses())
        #expect(restored.counts.pods == 301)
    }
}
