import Foundation
import TestSupport
import Testing

/// Real stores that are gone for more than two minutes, and an aggregator that is killed meanwhile. Minutes
/// long: `make test-sinks`.
@Suite(
    .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["HEAPWIRE_LONG_TESTS"] == "1",
        "takes minutes; make test-sinks runs it"),
    .enabled(if: BackendProgram.has("influxd") && BackendProgram.has("victoria-metrics")))
struct SinksOutageEndToEndTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// ```
    ///  seconds       0    5        15        35   40         140           155
    ///  InfluxDB      ├────┤ killed                            ├─── back
    ///  Victoria      ├─────────────┤ killed                                 ├─── back
    ///  aggregator    ├─────────────────────────┤    ├────────────────────────────────
    /// ```
    @Test(.timeLimit(.minutes(6))) func everyCycleIsInBothStores() throws {
        let influx = try BackendProgram.influxDB(in: folder.url)
        let victoria = try BackendProgram.victoriaMetrics(in: folder.url)
        let aggregator = try TestAggregator(
            "outage", in: folder.url,
            [
                "--data-dir=\(folder.url.path)/data", "--cluster-name=blue",
                "--sink=influxdb:\(influx.url)?timeout=3s",
                "--sink=remotewrite:\(victoria.url)?timeout=3s",
            ])
        let nodes = ["n1", "n2"]
        let agents = try nodes.map { node in
            try RunningProgram(
                "heapwire-agent",
                [
                    "--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=\(node)",
                    "--resolution=1s",
                ], in: folder.url)
        }
        let stores: [(String) throws -> [Int64]] = [
            { try influx.influxCycles(node: $0) }, { try victoria.victoriaCycles(node: $0) },
        ]
        try eventually(seconds: 60, "first cycles in both") {
            try stores.allSatisfy { cycles in try nodes.allSatisfy { try cycles($0).count >= 3 } }
        }
        influx.kill()
        Thread.sleep(forTimeInterval: 10)
        victoria.kill()
        let victoriaKilled = Int64(Date().timeIntervalSince1970 * 1_000)
        Thread.sleep(forTimeInterval: 20)
        aggregator.program.stop(SIGKILL)
        Thread.sleep(forTimeInterval: 5)
        try aggregator.startAgain()
        Thread.sleep(forTimeInterval: 100)
        try influx.start()
        Thread.sleep(forTimeInterval: 15)
        try victoria.start()
        let back = Int64(Date().timeIntervalSince1970) * 1_000
        // Back-off is up to a minute.
        try eventually(seconds: 120, "everything is delivered") {
            let text = try httpGet("http://127.0.0.1:\(aggregator.api)/api/v1/sinks")
            guard text.matches(of: /"queuedRequests": ?0\b/).count == 2 else { return false }
            return try stores.allSatisfy { cycles in
                try nodes.allSatisfy { try cycles($0).last ?? 0 > back }
            }
        }
        let untaken = try agents.map(endAgent)
        #expect(aggregator.program.stop() == 0, "\(aggregator.program.output)")
        for (store, cycles) in zip(["InfluxDB", "VictoriaMetrics"], stores) {
            for (node, untaken) in zip(nodes, untaken) {
                let found = try cycles(node)
                // VictoriaMetrics says yes to what it has in memory, and writes it out every five
                // seconds: what `kill -9` took from it there is its own.
                let missing = holes(found).filter {
                    store == "InfluxDB" || !(victoriaKilled - 10_000...victoriaKilled).contains($0)
                }
                #expect(
                    missing.count <= untaken,
                    "\(store), \(node): \(missing), killed \(victoriaKilled)")
                // From before the first kill to behind the last start.
                #expect(
                    (found.last ?? 0) - (found.first ?? 0) >= 150_000, "\(store), \(node): \(found)"
                )
                print("\(store), \(node): \(found.count) cycles, missing \(missing.count)")
            }
        }
        let log = aggregator.program.output
        #expect(!log.contains("damaged") && !log.contains("dropped"), "\(log)")
    }
}
