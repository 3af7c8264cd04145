import Testing
import Wire

@testable import Aggregator

/// Sums that several processes left, each of which died before it had read what was before it.
@Suite struct RestoredCyclesTests {
    private static let resolution: Int64 = 1_000

    /// A cycle that one node brought, with this much memory in the cluster.
    private func entry(
        _ index: Int64, _ value: Double, writer: UInt64? = nil
    ) throws -> CycleEntry {
        var row = RollUpRow()
        row.add(value, at: 1)
        var bytes: [UInt8] = []
        CycleEntry(
            index: index, resolution: Self.resolution, nodeCount: 1,
            sums: [.init(namespace: "", row: row)], writer: writer
        ).encode(into: &bytes)
        return try bytes.withUnsafeBytes { try CycleEntry(decoding: $0, isPart: writer != nil) }
    }

    private func sums(_ restore: (RollUps) -> Void) -> [Int64: Double] {
        var configuration = ModelConfiguration()
        configuration.resolution = Self.resolution
        let rollUps = RollUps(configuration: configuration)
        restore(rollUps)
        let points = rollUps.points(.memoryUsage, namespace: nil)
        return Dictionary(
            uniqueKeysWithValues: points.map { ($0.cycle / Self.resolution, $0.value) })
    }

    /// A (whole), B and C (parts) as one piece of the log, and as three processes find them.
    @Test func everyWritersLastPartCountsOnce() throws {
        #expect(RollUps.metrics[1] == .memoryUsage)
        let log = [
            try entry(7, 100), try entry(8, 1), try entry(7, 10, writer: 4),
            try entry(7, 20, writer: 4), try entry(9, 3, writer: 4), try entry(7, 5, writer: 6),
            try entry(9, 4, writer: 6),
        ]
        let expected: [Int64: Double] = [7: 125, 8: 1, 9: 7]
        var all = RestoredCycles()
        for entry in log { all.take(entry) }
        #expect(sums { all.restore($0) } == expected)
        // Wherever the newest segments begin, and with what this process adds meanwhile.
        for cut in 0...log.count {
            var present = RestoredCycles()
            for entry in log[cut...] { present.take(entry) }
            let unfounded = present.removeUnfounded()
            let found = sums { rollUps in
                present.restore(rollUps)
                let whole = present.wholeIndices
                rollUps.beginInParts(whole: whole, writer: 8)
                var past = RestoredCycles()
                for entry in log[..<cut] { past.take(entry) }
                past.take(unfounded)
                rollUps.becomeWhole(with: past.entries(except: whole))
            }
            #expect(found == expected, "cut at \(cut)")
        }
    }

    /// A process's own part has nothing of what others left.
    @Test func aPartHasOnlyWhatItsWriterAdded() throws {
        var present = RestoredCycles()
        present.take(try entry(7, 20, writer: 4))
        let unfounded = present.removeUnfounded()
        #expect(present.wholeIndices == [])
        var configuration = ModelConfiguration()
        configuration.resolution = Self.resolution
        let rollUps = RollUps(configuration: configuration)
        present.restore(rollUps)
        rollUps.beginInParts(whole: [], writer: 6)
        rollUps.beginLogging()
        var row = RollUpRow()
        row.add(5, at: 1)
        let series = rollUps.series(of: "shop")
        withUnsafePointer(to: row) {
            rollUps.add(cycle: 7 * Self.resolution, [series], .init(start: $0, count: 1))
        }
        let written = try #require(rollUps.takeChanged().first)
        #expect(written.writer == 6)
        #expect(written.sums.first { $0.namespace.isEmpty }?.row[1] == 5)
        var past = RestoredCycles()
        past.take(try entry(7, 100))
        past.take(unfounded)
        rollUps.becomeWhole(with: past.entries(except: []))
        #expect(rollUps.points(.memoryUsage, namespace: nil).map(\.value) == [125])
        rollUps.add(cycle: 8 * Self.resolution, [series], .init(start: nil, count: 0))
        #expect(rollUps.takeChanged().allSatisfy { $0.writer == nil })
    }
}
