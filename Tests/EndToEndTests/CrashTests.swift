import Foundation
import TestSupport
import Testing

/// The real aggregator over a data directory, killed at random moments.
@Suite(.serialized) struct CrashTests {
    /// A handful of what `make test-crash` does a thousand times.
    @Test(.timeLimit(.minutes(4))) func nothingAcknowledgedIsLostByKillingTheAggregator() throws {
        let script = Repository.root.appendingPathComponent("scripts/test-crash").path
        let result = try runProcess(
            "env", ["BIN=\(RunningProgram.productsFolder.path)", "python3", script, "5", "1"])
        #expect(result.status == 0, "\(result.output)")
        #expect(result.output.contains("ok: 5 kills"), "\(result.output)")
    }

    @Test func aDataDirectoryInUseIsRefusedByNameOfItsHolder() throws {
        let folder = try TemporaryFolder()
        let arguments = [
            "--port=0", "--ingest-port=0", "--data-dir=\(folder.url.path)/data",
        ]
        let first = try RunningProgram("heapwire-aggregator", arguments, in: folder.url)
        _ = try first.wait(for: /API on/)
        let binary = RunningProgram.productsFolder.appendingPathComponent("heapwire-aggregator")
        let second = try runProcess(binary.path, arguments)
        #expect(second.status != 0)
        let holder = try String(
            contentsOf: folder.url.appendingPathComponent("data/lock"), encoding: .utf8
        ).trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(Int(holder) != nil)
        #expect(
            second.output.contains("in use by another process (pid \(holder))"), "\(second.output)")
        #expect(first.stop() == 0)
        // It is free again.
        let third = try RunningProgram("heapwire-aggregator", arguments, in: folder.url)
        _ = try third.wait(for: /API on/)
        #expect(third.stop() == 0)
    }
}
