import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Restarts over a folder that fails at every call, in every way: whatever was acknowledged is there,
/// nothing is there twice, and every series and roll-up is as if nothing had happened.
///
/// `RESTART_SEEDS` runs so many times as many histories.
@Suite struct RestartTests {
    private static func seeds(_ count: Int) -> [UInt64] {
        let times = ProcessInfo.processInfo.environment["RESTART_SEEDS"].flatMap { Int($0) } ?? 1
        return Array(1...UInt64(count * max(1, times)))
    }

    private static var log: LogConfiguration {
        var log = LogConfiguration()
        log.segmentBytes = 500
        log.patienceMilliseconds = 1 << 40
        return log
    }

    @Test(arguments: seeds(4))
    func aRestartAtAnyTimeChangesNothing(seed: UInt64) throws {
        let course = try RestartCourse(seed: seed, log: Self.log, what: "seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<6 {
            try course.run(steps: Int.random(in: 1...9, using: &random))
            try course.restart(RestartCourse.Cut.allCases.randomElement(using: &random) ?? .synced)
            // Some processes die as soon as they have made their first file.
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let bytes = Bool.random(using: &random) ? LogSegment.header : []
                try course.restart(.process) { $0.leaveSegment(bytes) }
            }
            #expect(course.report.losses == NodeRestorer.Losses(), "seed \(seed)")
            try course.expectAcknowledgedIsKept()
            try course.reconnect()
        }
        try course.run(steps: 10)
        try course.expectEverything()
        #expect(course.restartCount >= 6)
        #expect(course.report.segments > 6, "seed \(seed)")
        #expect(course.report.frames > 20, "seed \(seed)")
    }

    /// Agents go on, and other processes die, before the older part of the window was read.
    @Test(arguments: seeds(6))
    func agentsGoOnWhileTheRestIsRead(seed: UInt64) throws {
        let course = try RestartCourse(seed: seed, nodes: 3, log: Self.log, what: "seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<8 {
            try course.run(steps: Int.random(in: 1...9, using: &random))
            let cut = RestartCourse.Cut.allCases.randomElement(using: &random) ?? .synced
            try course.restart(cut, readsAll: false)
            if Bool.random(using: &random) {
                try course.restart(.process, readsAll: false) { $0.leaveSegment([]) }
            }
            try course.reconnect()
            try course.run(steps: Int.random(in: 0...3, using: &random))
            if Bool.random(using: &random) { course.readPast() }
        }
        course.readPast()
        try course.reconnect()
        try course.run(steps: 10)
        try course.expectEverything()
        #expect(course.pastCount > 0, "seed \(seed)")
        #expect(course.report.losses == NodeRestorer.Losses(), "seed \(seed)")
        // What was added to older cycles meanwhile is in the log, too.
        try course.restart(.synced)
        try course.expectAcknowledgedIsKept()
        try course.reconnect()
        try course.run(steps: 1)
        try course.expectEverything()
    }

    /// A node that is forgotten while the rest is read is found again with what the rest has of it.
    @Test(arguments: [0, 1, 2])
    func aNodeForgottenMeanwhileIsListedAgain(afterSegments count: Int) throws {
        let course = try RestartCourse(
            seed: 7, log: Self.log, agentsRestart: false, what: "after \(count) segments")
        try course.run(steps: 40)
        try course.restart(.synced, readsAll: false)
        let newest = try course.keptSteps(0)
        try course.readPast(forgetting: 0, afterSegments: count)
        let steps = try course.keptSteps(0)
        #expect(steps.count > 10)
        #expect(Set(steps).count == steps.count)
        // Of what was read before it was forgotten nothing is missing; before that it is another.
        let oldest = try #require(newest.first)
        #expect(steps.contains { $0 < oldest })
        if count > 0 { #expect(Set(steps).isSuperset(of: newest)) }
        #expect(try course.keptSteps(1).count > steps.count / 2)
        let hasMore = course.cluster.hasPastToRead.load(ordering: .acquiring)
        #expect(!hasMore)
    }

    /// The call of each number fails for good, then the power goes.
    @Test(arguments: RestartCourse.Cut.allCases)
    func thePowerMayGoAtEveryCall(cut: RestartCourse.Cut) throws {
        for seed in Self.seeds(1) {
            var call = 1
            while true {
                let what = "seed \(seed), call \(call), \(cut)"
                let files = FaultyLogFiles()
                files.failingCall = call
                files.failureCount = .max
                files.shortBytes = [0, 7, 300][call % 3]
                let course = try RestartCourse(
                    seed: seed, log: Self.log, files: files, agentsRestart: false, what: what)
                try course.runUntilCut(steps: 16)
                let isOver = files.callCount < call
                try course.restart(cut)
                try course.expectAcknowledgedIsKept()
                try course.reconnect()
                try course.run(steps: 4)
                try course.expectEverything()
                if isOver { break }
                call += 1
            }
            #expect(call > 20, "seed \(seed)")
        }
    }

    /// Flipped bits anywhere: it is said, what is left is as it was, and nothing is made up.
    @Test func flippedBitsCostWhatTheyAreInAndAreNamed() throws {
        var random = SeededRandom(seed: 5)
        for number in 0..<16 {
            let course = try RestartCourse(
                seed: 3, log: Self.log, agentsRestart: false, what: "flip \(number)")
            try course.run(steps: 20)
            course.commit()
            var place = ""
            try course.restart(.process) { files in
                let name = files.files.keys.sorted().randomElement(using: &random) ?? ""
                let count = files.files[name]?.bytes.count ?? 1
                let offset = Int.random(in: 0..<count, using: &random)
                files.files[name]?.bytes[offset] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                place = name
            }
            #expect(course.report.damage.contains { $0.segment == place }, "flip \(number)")
            try course.reconnect()
            try course.run(steps: 3)
            try course.expectNothingFalse(lostMax: 12)
        }
    }

    @Test func aSegmentThatIsGoneIsNamedAndTheRestIsThere() throws {
        let course = try RestartCourse(
            seed: 3, log: Self.log, agentsRestart: false, what: "a segment gone")
        try course.run(steps: 30)
        course.commit()
        let names = course.files.files.keys.sorted()
        let gone = names[names.count / 2]
        try course.restart(.process) { $0.files[gone] = nil }
        #expect(
            course.report.damage.contains { $0.segment == gone && $0.reason == "it is missing" })
        try course.reconnect()
        try course.run(steps: 3)
        try course.expectNothingFalse(lostMax: 20)
    }

    /// Old segments go whole; what is left can be entered.
    @Test func retentionRemovesWholeSegmentsAndWhatIsLeftCanBeRead() throws {
        var log = Self.log
        log.retentionBytes = 20_000
        let window: Int64 = 100_000
        let course = try RestartCourse(
            seed: 2, window: window, log: log, agentsRestart: false, what: "retention by bytes")
        for _ in 0..<10 {
            try course.run(steps: 5)
            try course.applyRetention()
            let bytes = course.files.files.values.reduce(0) { $0 + $1.bytes.count }
            #expect(bytes < 40_000)
        }
        course.commit()
        #expect(course.files.files[LogSegment.name(1)] == nil)
        try course.restart(.process)
        #expect(course.report.losses == NodeRestorer.Losses())
        #expect(course.report.damage.isEmpty)
        #expect(course.report.frames > 10)
        try course.reconnect()
        try course.run(steps: 2)
        try course.expectNothingFalse(lostMax: .max)
    }

    @Test func retentionByAgeKeepsWhatIsYounger() throws {
        var log = Self.log
        log.retention = 120_000
        let course = try RestartCourse(
            seed: 2, log: log, agentsRestart: false, what: "retention by age")
        try course.run(steps: 40)
        course.commit()
        let before = course.files.files.count
        try course.applyRetention()
        #expect(course.files.files.count < before)
        try course.restart(.process)
        let steps = try course.keptSteps(0)
        // What is in memory is older: the steps that have to be there are the last twelve.
        let newest = 10_000_000 + 40 * RestartCourse.resolution
        let wanted = (0..<12).map { newest - (11 - $0) * RestartCourse.resolution }
        #expect(Array(steps.suffix(12)) == wanted)
    }

    /// The disk takes nothing for long: ingest goes on, what is given up is counted, and what comes
    /// after it is kept again.
    @Test func ingestGoesOnWhileTheDiskIsFull() throws {
        var log = Self.log
        log.patienceMilliseconds = 0
        log.pendingBytes = 6_000
        let files = FaultyLogFiles()
        files.failingCall = 6
        files.failureCount = .max
        let course = try RestartCourse(
            seed: 4, log: log, files: files, agentsRestart: false, what: "a full disk")
        try course.run(steps: 40)
        try course.expectEverything()
        #expect(course.writer.statistics.lostBytes > 6_000)
        #expect(course.writer.statistics.isDegraded)
        #expect(course.writer.statistics.lastError.contains("no space left"))
        files.failingCall = nil
        try course.run(steps: 6)
        course.commit()
        #expect(!course.writer.statistics.isDegraded)
        #expect(course.writer.acknowledgeable == course.writer.durable)
        try course.expectEverything()
        try course.restart(.synced)
        #expect(course.report.frames > 8)
        try course.reconnect()
        try course.run(steps: 3)
        try course.expectNothingFalse(lostMax: 40)
    }

    /// The call of each number fails, once or for a while, and the process goes on; later it ends.
    @Test(arguments: [(ENOSPC, 1), (EIO, 1), (ENOSPC, 12)])
    func everyCallMayFailAndTheProcessGoesOn(errno: Int32, failureCount: Int) throws {
        for seed in Self.seeds(1) {
            var call = 1
            while true {
                let what = "seed \(seed), call \(call), errno \(errno), \(failureCount) times"
                let files = FaultyLogFiles()
                files.failingCall = call
                files.failingErrno = errno
                files.failureCount = failureCount
                files.shortBytes = [0, 7, 300][call % 3]
                let course = try RestartCourse(seed: seed, log: Self.log, files: files, what: what)
                try course.run(steps: 16)
                let isOver = files.callCount < call
                try course.expectEverything()
                try course.restart(.synced)
                try course.expectAcknowledgedIsKept()
                try course.reconnect()
                try course.run(steps: 4)
                try course.expectEverything()
                if isOver { break }
                #expect(course.writer.statistics.failures == 0, "\(what)")
                call += 3
            }
            #expect(call > 20, "seed \(seed)")
        }
    }
}
