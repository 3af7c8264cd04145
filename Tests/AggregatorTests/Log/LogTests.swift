import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct LogTests {
    private func payload(_ number: Int) -> [UInt8] {
        (0..<(number % 50)).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) }
    }

    private func append(_ number: Int, to writer: LogWriter) -> UInt64 {
        writer.gate.stripe(0).withLock {
            writer.append(recordCount: 1) { buffer in
                payload(number).withUnsafeBytes {
                    LogRecord.append(.frame, node: UInt32(number), $0, to: &buffer)
                }
            }
        }
    }

    @discardableResult
    private func commit(_ writer: LogWriter, now: Int64 = 1_000) -> Bool {
        writer.cut(now: now) { _ in 0 }
        return writer.write(now: now)
    }

    private func readAll(_ files: FaultyLogFiles) throws -> (numbers: [Int], damage: Int) {
        var reader = LogReader(files: files, pieceBytes: 512)
        var numbers: [Int] = []
        for segment in try reader.segments() {
            try reader.read(segment) { record in
                guard record.kind == .frame else { return }
                let number = Int(record.node)
                #expect(Array(record.payload) == payload(number))
                numbers.append(number)
            }
        }
        return (numbers, reader.damage.count)
    }

    @Test func whatWasCommittedIsReadBackInOrderOverSeveralSegments() throws {
        let files = FaultyLogFiles()
        var configuration = LogConfiguration()
        configuration.segmentBytes = 1_000
        let writer = LogWriter(files: files, firstSegment: 5, configuration: configuration)
        for number in 0..<300 {
            let position = append(number, to: writer)
            if number % 7 == 0 {
                #expect(commit(writer))
                #expect(writer.durable == position)
            }
        }
        commit(writer)
        let result = try readAll(files)
        #expect(result.numbers == Array(0..<300))
        #expect(result.damage == 0)
        #expect(files.files.count > 5)
        #expect(files.files.keys.allSatisfy { LogSegment.number($0) ?? 0 >= 5 })
    }

    /// Each file call fails once, in turn, with nothing, a part or all of an append written; then the
    /// power goes. What was committed by then is there, once or, after a failed sync, twice.
    @Test(arguments: [0, 5, 40])
    func nothingCommittedIsLostWhicheverCallFails(shortBytes: Int) throws {
        var call = 1
        while true {
            let files = FaultyLogFiles()
            files.failingCall = call
            files.shortBytes = shortBytes
            var configuration = LogConfiguration()
            configuration.segmentBytes = 400
            let writer = LogWriter(files: files, firstSegment: 1, configuration: configuration)
            var positions: [UInt64] = []
            for number in 0..<40 {
                positions.append(append(number, to: writer))
                if number % 3 == 0 { commit(writer) }
            }
            let committed = writer.durable
            let kept = positions.count { $0 <= committed }
            for share in [0, 0.4, 1] {
                let left = files.afterPowerCut(keeping: share)
                let found = try readAll(left).numbers
                var distinct: [Int] = []
                for number in found where !distinct.contains(number) { distinct.append(number) }
                #expect(
                    distinct.starts(with: 0..<kept), "call \(call), share \(share): \(found)")
                #expect(distinct == Array(0..<distinct.count), "call \(call): \(found)")
            }
            if files.callCount < call { break }
            call += 1
        }
        #expect(call > 20)
    }

    @Test func aDiskThatStaysFullCostsWhatExceedsTheBoundAndIsCounted() throws {
        let files = FaultyLogFiles()
        files.failingCall = 1
        files.failureCount = .max
        var configuration = LogConfiguration()
        configuration.pendingBytes = 2_000
        let writer = LogWriter(files: files, firstSegment: 1, configuration: configuration)
        let generation = writer.generation
        for number in 0..<100 {
            _ = append(number, to: writer)
            #expect(!commit(writer) || number > 0)
        }
        let statistics = writer.statistics
        #expect(statistics.lostBytes > 2_000)
        #expect(statistics.failures > 0)
        #expect(statistics.lastError.contains("no space left"))
        #expect(writer.generation > generation)
        // The disk is back.
        files.failingCall = nil
        let position = append(100, to: writer)
        #expect(commit(writer))
        #expect(writer.durable == position)
        #expect(try readAll(files).numbers.last == 100)
    }

    @Test func aFlippedBitCostsItsRecordAlone() throws {
        let files = FaultyLogFiles()
        let writer = LogWriter(
            files: files, firstSegment: 1, configuration: LogConfiguration())
        for number in 0..<30 { _ = append(number, to: writer) }
        commit(writer)
        let name = LogSegment.name(1)
        let whole = try #require(files.files[name]).bytes
        for index in LogSegment.header.count..<whole.count {
            var bytes = whole
            bytes[index] ^= 1 << UInt8(index % 8)
            files.files[name] = FaultyLogFiles.File(bytes: bytes, syncedCount: bytes.count)
            let (numbers, damage) = try readAll(files)
            #expect(numbers.count >= 29, "byte \(index): \(numbers)")
            #expect(damage >= 1, "byte \(index)")
            #expect(numbers == numbers.sorted())
        }
    }

    @Test func truncationAtEveryByteLosesOnlyTheEnd() throws {
        let files = FaultyLogFiles()
        let writer = LogWriter(
            files: files, firstSegment: 1, configuration: LogConfiguration())
        for number in 0..<30 { _ = append(number, to: writer) }
        commit(writer)
        let name = LogSegment.name(1)
        let whole = try #require(files.files[name]).bytes
        for count in 0..<whole.count {
            files.files[name] = FaultyLogFiles.File(bytes: Array(whole[..<count]), syncedCount: 0)
            let numbers = try readAll(files).numbers
            #expect(numbers == Array(0..<numbers.count))
        }
    }

    @Test func randomBytesAreDamageAndNothingElse() throws {
        var generator = SeededRandom(seed: 11)
        for _ in 0..<200 {
            let files = FaultyLogFiles()
            let count = Int(generator.next() % 3_000)
            let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            files.files[LogSegment.name(1)] = FaultyLogFiles.File(
                bytes: LogSegment.header + noise, syncedCount: 0)
            #expect(try readAll(files).numbers.isEmpty)
        }
    }
}
