import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// What is older than memory is answered from the log as it was.
@Suite struct LogArchiveTests {
    private static let window: Int64 = 200_000
    private static let resolution = RestartCourse.resolution

    /// Time of a step of a course.
    private func step(_ number: Int64) -> Int64 { 10_000_000 + number * Self.resolution }

    /// Runs longer than memory reaches back, and puts the log where an archive can read it.
    private func course(seed: UInt64, steps: Int = 90) throws -> (RestartCourse, LogArchive, URL) {
        var log = LogConfiguration()
        log.segmentBytes = 500
        let course = try RestartCourse(
            seed: seed, window: Self.window, log: log, what: "seed \(seed)")
        try course.run(steps: steps)
        course.commit()
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-archive-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, file) in course.files.files {
            try Data(file.bytes).write(to: folder.appendingPathComponent(name))
        }
        let archive = LogArchive(folder: folder.path, configuration: course.cluster.configuration)
        return (course, archive, folder)
    }

    @Test(arguments: [1, 2] as [UInt64])
    func aStretchOfTheLogIsWhatItWas(seed: UInt64) throws {
        let (course, archive, folder) = try course(seed: seed)
        defer { try? FileManager.default.removeItem(at: folder) }
        let names = RandomPodNames(course.reference)
        var points = 0
        for (first, last) in [(1, 20), (15, 40), (30, 31)] as [(Int64, Int64)] {
            let stretch = LogArchive.Stretch(start: step(first), end: step(last))
            let contents = try archive.read(stretch, nodes: nil, sums: true)
            #expect(contents.damageCount == 0)
            let reader = ModelReader(cluster: contents.cluster, names: names)
            for entity in SeriesExpectation.entities(course.reference, names) {
                for metric in SeriesExpectation.asked {
                    let expected = course.reference.series(metric, of: entity).filter {
                        $0.key >= stretch.start && $0.key <= stretch.end
                    }
                    let actual = try reader.series(
                        metric, of: entity, start: stretch.start, end: stretch.end)
                    points += actual.count
                    SeriesExpectation.expect(
                        actual, expected, metric, entity, "seed \(seed), steps \(first) to \(last)")
                }
            }
        }
        #expect(points > 1_000)
    }

    @Test func onlyTheNodesThatAreWantedAreRead() throws {
        let (_, archive, folder) = try course(seed: 3, steps: 40)
        defer { try? FileManager.default.removeItem(at: folder) }
        let stretch = LogArchive.Stretch(start: step(1), end: step(30))
        let one = try archive.read(stretch, nodes: ["n1"], sums: false)
        #expect(one.cluster.nodes.map(\.name) == ["n1"])
        #expect(one.cluster.rollUps.newestCycle == nil)
        #expect(try archive.read(stretch, nodes: [], sums: true).cluster.nodes.isEmpty)
    }

    @Test func aQuestionThatReadsTooMuchOfTheLogIsRefused() throws {
        var (_, archive, folder) = try course(seed: 3, steps: 40)
        defer { try? FileManager.default.removeItem(at: folder) }
        let stretch = LogArchive.Stretch(start: step(1), end: step(30))
        archive.byteCountMax = 1_000
        #expect(throws: LogArchive.Failure.self) {
            try archive.read(stretch, nodes: nil, sums: false)
        }
        archive.byteCountMax = 1 << 30
        archive.heldByteCountMax = 1_000
        #expect(throws: LogArchive.Failure.self) {
            try archive.read(stretch, nodes: nil, sums: false)
        }
    }

    /// From the log and from memory, with no seam between them.
    @Test func theHistoricalAPIReachesBackBeyondMemory() throws {
        let (course, archive, folder) = try course(seed: 4)
        defer { try? FileManager.default.removeItem(at: folder) }
        let index = ClusterIndex(cluster: course.cluster, directory: PodDirectory())
        let reader = ModelReader(cluster: course.cluster, names: JoinedNames(index))
        let history = LogHistory(
            recent: ModelHistory(reader: reader, index: index), archive: archive)
        func question(
            _ metric: String, _ entity: Entity, from start: Int64, to end: Int64 = .max,
            limit: Int = 10_000
        ) -> HistoricalQuestion {
            HistoricalQuestion(
                metric: metric, entities: [entity], labels: [:], start: start, end: end,
                pointCountMax: limit)
        }
        for metric in [MetricID.memoryUsage, .cpuUsageRate, .cpuUsage] {
            for entity in [Entity.node("n0"), .node("n1"), .cluster] {
                guard entity != .cluster || RollUps.metrics.contains(metric) else { continue }
                let name = Catalog.metric(metric).name
                let all = course.reference.series(metric, of: entity)
                for first in [1, 40, 75] as [Int64] {
                    let found = try history.series(question(name, entity, from: step(first)))
                    SeriesExpectation.expect(
                        found[0], all.filter { $0.key >= step(first) }, metric, entity,
                        "from step \(first)")
                }
                let part = try history.series(
                    question(name, entity, from: step(5), to: step(20)))
                SeriesExpectation.expect(
                    part[0], all.filter { $0.key >= step(5) && $0.key <= step(20) }, metric,
                    entity, "steps 5 to 20")
            }
        }
        #expect(throws: HistoricalFailure.tooMuch(pointCount: 90, limit: 50)) {
            try history.series(
                question("memory/usage", .node("n0"), from: step(1), to: step(90), limit: 50))
        }
        #expect(throws: HistoricalFailure.nothing(metric: "memory/usage", .node("nobody"))) {
            try history.series(question("memory/usage", .node("nobody"), from: step(1)))
        }
    }
}
