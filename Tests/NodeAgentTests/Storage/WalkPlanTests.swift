import Foundation
import TestSupport
import Testing

@testable import NodeAgent

/// The budget holds, and every directory has its turn. Time is the test's own.
@Suite struct WalkPlanTests {
    /// Works through a span of time.
    ///
    /// - Returns: when each walk ended and what it found.
    private func work(
        _ plan: inout WalkPlan, from start: Int64, to end: Int64
    ) -> [(time: Int64, path: String, outcome: DirectoryWalk.Outcome)] {
        var found: [(time: Int64, path: String, outcome: DirectoryWalk.Outcome)] = []
        var now = start
        while now < end {
            let (wait, outcomes) = plan.work(now: now)
            found += outcomes.map { (now, $0.path, $0.outcome) }
            #expect(wait >= plan.sliceMilliseconds)
            now += wait
        }
        return found
    }

    @Test(arguments: [1, 7, 100, 5_000])
    func noMoreEntriesThanAllowedAreLookedAt(_ rate: Int) throws {
        let tree = try DirectoryTree(seed: 4, fileCount: 400)
        let inodeCount = try tree.du().inodeCount
        var plan = WalkPlan(entriesPerSecond: rate, intervalMilliseconds: 60_000)
        plan.set([tree.path])
        let found = work(&plan, from: 0, to: 900_000)
        let first = try #require(found.first)
        // Entries are inodes less the directory itself, plus . and .. and further names.
        #expect(first.time >= (inodeCount - 1) * 1_000 / Int64(rate) - 2 * plan.sliceMilliseconds)
        #expect(first.time <= 2 * inodeCount * 1_000 / Int64(rate) + plan.sliceMilliseconds)
        for (earlier, later) in zip(found, found.dropFirst()) {
            #expect(later.time - earlier.time >= 60_000)
        }
        #expect(found.count >= (rate >= 100 ? 10 : 1))
    }

    @Test func newDirectoriesComeFirstAndThenTheLongestOverdue() throws {
        let trees = try (0..<4).map { try DirectoryTree(seed: UInt64($0), fileCount: 50) }
        var plan = WalkPlan(entriesPerSecond: 50, intervalMilliseconds: 60_000)
        let paths = trees.map(\.path).sorted()
        plan.set(Array(paths.prefix(3)))
        let before = work(&plan, from: 0, to: 30_000)
        #expect(before.map(\.path) == Array(paths.prefix(3)))
        // All three are overdue when the fourth comes.
        plan.set(paths)
        let after = work(&plan, from: 200_000, to: 230_000)
        #expect(after.map(\.path) == [paths[3]] + paths.prefix(3))
        // Nobody is due.
        #expect(plan.work(now: 231_000).waitMilliseconds > 10_000)
    }

    @Test func whatIsNoLongerWantedIsNotWalked() throws {
        let trees = try (0..<2).map { try DirectoryTree(seed: UInt64($0), fileCount: 300) }
        var plan = WalkPlan(entriesPerSecond: 100, intervalMilliseconds: 60_000)
        plan.set(trees.map(\.path))
        _ = plan.work(now: 0)
        plan.set([trees[1].path])
        #expect(Set(work(&plan, from: 100, to: 200_000).map(\.path)) == [trees[1].path])
        plan.set([])
        #expect(work(&plan, from: 200_000, to: 400_000).isEmpty)
    }
}
