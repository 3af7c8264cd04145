import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct ExpositionTests {
    private static let openMetrics =
        "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n"

    // MARK: The recorded cluster; the recorded summaries are the oracle

    /// A container of the newest summaries: what the kubelet said of it.
    private struct Recorded {
        let workingSet: Int64?
        let cpu: Int64?
        let time: Int64
    }

    private func recorded(step: Int) throws -> [String: Recorded] {
        var found: [String: (start: String, Recorded)] = [:]
        guard let folder = GoldenCluster.folder else { return [:] }
        for node in ["node-a", "node-b", "node-c"] {
            let summary = try GoldenCluster.json(
                folder.appendingPathComponent("input/summary_\(node)_n\(step).json"))
            for pod in summary["pods"] as? [[String: Any]] ?? [] {
                let reference = pod["podRef"] as? [String: Any] ?? [:]
                for container in pod["containers"] as? [[String: Any]] ?? [] {
                    // The apiserver does not know this pod: nobody knows its names.
                    if reference["uid"] as? String == "uid-ghost-orphan-1" { continue }
                    let key = [reference["namespace"], reference["name"], container["name"]]
                        .map { $0 as? String ?? "" }.joined(separator: "/")
                    let start = container["startTime"] as? String ?? ""
                    guard start >= found[key]?.start ?? "" else { continue }
                    let cpu = container["cpu"] as? [String: Any] ?? [:]
                    let memory = container["memory"] as? [String: Any] ?? [:]
                    let time = cpu["time"] as? String ?? memory["time"] as? String ?? ""
                    found[key] = (
                        start,
                        Recorded(
                            workingSet: (memory["workingSetBytes"] as? NSNumber)?.int64Value,
                            cpu: (cpu["usageCoreNanoSeconds"] as? NSNumber)?.int64Value,
                            time: RFC3339.milliseconds(parsing: time) ?? 0)
                    )
                }
            }
        }
        return found.mapValues(\.1)
    }

    @Test(arguments: ["/metrics/cadvisor", "/metrics/resource"])
    func containersHaveTheKubeletsFiguresWithTheirTimes(path: String) throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let (response, body) = try golden.answer(path)
        #expect(
            response.contentType?.description == "text/plain; version=0.0.4; charset=utf-8")
        let text = try ScrapedText(body)
        let expected = try recorded(step: 3)
        let memory = text.byContainer("container_memory_working_set_bytes")
            .filter { !$0.key.hasPrefix("_unknown/uid-ghost-orphan-1/") }
        let cpu = text.byContainer("container_cpu_usage_seconds_total")
            .filter { !$0.key.hasPrefix("_unknown/uid-ghost-orphan-1/") }
        #expect(Set(memory.keys) == Set(expected.filter { $0.value.workingSet != nil }.keys))
        #expect(Set(cpu.keys) == Set(expected.filter { $0.value.cpu != nil }.keys))
        #expect(cpu.count > 5)
        for (key, one) in expected {
            #expect(memory[key]?.value == one.workingSet.map(String.init), "\(key)")
            // Seconds are written exactly, so nothing is lost on the way back.
            let seconds = cpu[key].flatMap { Decimal(string: $0.value) }
            #expect(seconds == one.cpu.map { Decimal($0) / 1_000_000_000 }, "\(key)")
            if one.cpu != nil { #expect(cpu[key]?.time == "\(one.time)", "\(key)") }
        }
    }

    @Test func bothFormsHaveTheSameSamples() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let plain = try ScrapedText(try golden.answer("/metrics/cadvisor").body)
        let (response, body) = try golden.answer("/metrics/cadvisor", Self.openMetrics)
        #expect(
            response.contentType?.description
                == "application/openmetrics-text; version=1.0.0; charset=utf-8")
        let open = try ScrapedText(body, openMetrics: true)
        #expect(open.samples.count == plain.samples.count && plain.samples.count > 100)
        for (one, other) in zip(plain.samples, open.samples) {
            #expect(one.name == other.name && one.labels == other.labels)
            #expect(one.value == other.value)
            #expect(
                one.time.flatMap { Decimal(string: $0) }
                    == other.time.flatMap { Decimal(string: $0) }.map { $0 * 1_000 })
        }
        #expect(plain.types["container_cpu_usage_seconds_total"] == "counter")
        #expect(open.types["container_cpu_usage_seconds"] == "counter")
    }

    @Test(arguments: ["/metrics/cadvisor", "/metrics/resource", "/metrics"])
    func promtoolReadsIt(path: String) throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        guard try runProcess("sh", ["-c", "command -v promtool"]).status == 0 else {
            print("skipped: promtool (of Debian's package prometheus) is not installed")
            return
        }
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-scrape-\(UUID().uuidString)")
        try Data(golden.answer(path).body).write(to: file)
        defer {
            do { try FileManager.default.removeItem(at: file) } catch { print("\(error)") }
        }
        let check = try runProcess("sh", ["-c", "promtool check metrics < '\(file.path)'"])
        // 1: it could not be parsed. 3: advice on names, which are cAdvisor's.
        #expect(check.status == 0 || check.status == 3, "\(check.output)")
        #expect(!check.output.contains("error while linting"), "\(check.output)")
    }

    // MARK: A node made by hand

    private struct World {
        let agent = SyntheticNode("n\"1")
        let cluster: Cluster
        let model: NodeModel
        let router: Router

        init() throws {
            var configuration = ModelConfiguration()
            configuration.resolution = 1_000
            let directory = PodDirectory()
            cluster = Cluster(configuration: configuration, facts: directory)
            var hello = agent.hello
            hello.machine.cgroupDriver = "systemd"
            hello.machine.cores = 4
            hello.machine.machineID = "abc"
            hello.machine.kernelVersion = "6.1 \\ \"x\""
            for (number, distances) in ["10 21", "21 10"].enumerated() {
                var node = NUMANode()
                (node.number, node.distances) = (UInt64(number), distances)
                node.memoryBytes = 1_024 * UInt64(number + 1)
                hello.machine.nodes.append(node)
            }
            hello.machine.hugePages = [HugePagePool(pageBytes: 2 << 20, pageCount: 16)]
            model = try #require(cluster.enter(hello, now: 1_000)).0
            _ = model.begin(hello)
            let api = AggregatorAPI(
                cluster: cluster, ingest: IngestCounters(),
                metadata: MetadataMetrics(directory: directory, status: nil))
            router = api.router()
        }

        func scrape(_ path: String) throws -> ScrapedText {
            let request = try get(path)
            guard case .handler(let handler) = router.route(request),
                case .now(let response) = handler(request),
                case .slowStream(let producer) = response.body
            else { throw ScrapedText.Fault(description: "no stream for \(path)") }
            var body: [UInt8] = []
            while true {
                var piece: [UInt8] = []
                let isMore = producer.produce(into: &piece)
                body += piece
                if !isMore { return try ScrapedText(body) }
            }
        }
    }

    private static let uid = "0a1b2c3d-0000-1111-2222-333344445555"
    private static let id = String(repeating: "ab", count: 32)

    private func filledWorld() throws -> World {
        let world = try World()
        let agent = world.agent
        try agent.add(0, Subject(kind: .node), [.cpuUsage])
        try agent.add(
            1, Subject(kind: .systemContainer, parent: 0, attributes: [.name: "/a\\b\"c\nd"]),
            [.cpuUsage, .memoryCgroupLimit, .cpuCfsQuota, .cpuLoad])
        try agent.add(
            2,
            Subject(
                kind: .pod, parent: 0, attributes: [.podUID: Self.uid, .qosClass: "burstable"]),
            [.memoryWorkingSet])
        try agent.add(
            3,
            Subject(
                kind: .container, parent: 2, startTimeMilliseconds: 1_500,
                attributes: [
                    .podUID: Self.uid, .qosClass: "burstable", .containerID: Self.id,
                    .runtime: "containerd",
                ]), [.cpuUsage, .memoryWorkingSet, .memoryPageFaults])
        try agent.add(
            4, Subject(kind: .networkInterface, parent: 2, attributes: [.name: "eth0"]),
            [.networkReceiveBytes])
        try agent.add(
            5,
            Subject(
                kind: .blockDevice, parent: 3,
                attributes: [.name: "sda", .deviceNumber: "8:0"]),
            [.diskReadBytes, .diskWriteBytes])
        for (slot, mount) in [(Slot(6), "/"), (7, "/home")] {
            try agent.add(
                slot,
                Subject(
                    kind: .filesystem, parent: 0,
                    attributes: [.name: mount, .device: "/dev/sda2"]), [.filesystemUsage])
        }
        agent.set(0, .cpuUsage, 123_456_789_012)
        for (metric, value) in [
            (MetricID.cpuUsage, Int64(1)), (.memoryCgroupLimit, -1), (.cpuCfsQuota, 50_000_500),
            (.cpuLoad, 1_250),
        ] { agent.set(1, metric, value) }
        agent.set(3, .readOffset, 7)
        agent.set(3, .cpuUsage, 2_500_000_000)
        agent.set(3, .memoryPageFaults, 9)
        agent.set(4, .networkReceiveBytes, 77)
        agent.set(5, .diskReadBytes, 11)
        agent.set(5, .diskWriteBytes, 12)
        for step in 8...10 {
            try world.model.receive(agent.frame(step: Int64(step) * 1_000, delay: 3))
        }
        return world
    }

    @Test func labelsAndUnitsAreCadvisors() throws {
        let text = try filledWorld().scrape("/metrics/cadvisor")
        let pod =
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"
            + "0a1b2c3d_0000_1111_2222_333344445555.slice"
        let cpu = text.samples.filter { $0.name == "container_cpu_usage_seconds_total" }
        #expect(
            cpu == [
                .init(
                    name: "container_cpu_usage_seconds_total",
                    labels: ["node": "n\"1", "id": "/", "cpu": "total"], value: "123.456789012",
                    time: "10003"),
                .init(
                    name: "container_cpu_usage_seconds_total",
                    labels: ["node": "n\"1", "id": "/a\\b\"c\nd", "cpu": "total"],
                    value: "0.000000001", time: "10003"),
                .init(
                    name: "container_cpu_usage_seconds_total",
                    labels: [
                        "node": "n\"1", "cpu": "total", "namespace": "_unknown", "pod": Self.uid,
                        "container": Self.id, "name": Self.id,
                        "id": "\(pod)/cri-containerd-\(Self.id).scope",
                    ], value: "2.5", time: "10010"),
            ])
        #expect(text.first("container_spec_memory_limit_bytes", "node", "n\"1")?.value == "0")
        #expect(text.first("container_spec_cpu_quota", "node", "n\"1")?.value == "50000.5")
        #expect(text.first("container_cpu_load_average_10s", "node", "n\"1")?.value == "1.25")
        #expect(text.first("container_start_time_seconds", "node", "n\"1")?.value == "1.5")
        #expect(text.first("container_last_seen", "container", Self.id)?.value == "10.01")
        let network = text.first("container_network_receive_bytes_total", "interface", "eth0")
        #expect(network?.value == "77" && network?.labels["id"] == pod)
        let written = text.first("container_blkio_device_usage_total", "operation", "Write")
        #expect(written?.value == "12" && written?.labels["device"] == "/dev/sda")
        #expect(written?.labels["major"] == "8" && written?.labels["minor"] == "0")
        let devices = text.samples.filter { $0.name == "container_fs_usage_bytes" }
            .map { $0.labels["device"] }
        #expect(devices == ["/dev/sda2", "/home"])
        let faults = text.samples.filter { $0.name == "container_memory_failures_total" }
        #expect(faults.map { $0.labels["scope"] } == ["container", "hierarchy"])
        #expect(text.first("machine_cpu_cores", "machine_id", "abc")?.value == "4")
        let parts = { (name: String, labels: [String]) in
            text.samples.filter { $0.name == name }.map { sample in
                labels.map { sample.labels[$0] ?? "" } + [sample.value]
            }
        }
        #expect(
            parts("machine_node_memory_capacity_bytes", ["machine_id", "node_id"])
                == [["abc", "0", "1024"], ["abc", "1", "2048"]])
        #expect(
            parts("machine_node_distance", ["node_id", "target_node_id"])
                == [["0", "0", "10"], ["0", "1", "21"], ["1", "0", "21"], ["1", "1", "10"]])
        #expect(parts("machine_node_hugepages_count", ["page_size"]) == [["2048", "16"]])
        let versions = text.first("cadvisor_version_info", "machine_id", "abc")
        #expect(versions?.labels["kernelVersion"] == "6.1 \\ \"x\"")
    }

    @Test func theResourceFormHasNamesOfTheAPIOnly() throws {
        let text = try filledWorld().scrape("/metrics/resource")
        let node = text.samples.filter { $0.name == "node_cpu_usage_seconds_total" }
        #expect(node.map(\.labels) == [["node": "n\"1"]] && node.map(\.value) == ["123.456789012"])
        #expect(
            text.samples.filter { $0.name == "container_cpu_usage_seconds_total" }.map(\.labels)
                == [
                    [
                        "node": "n\"1", "namespace": "_unknown", "pod": Self.uid,
                        "container": Self.id,
                    ]
                ])
        #expect(text.first("resource_scrape_error", "node", "n\"1")?.value == "0")
    }

    @Test func aSilentNodeHasNoSamplesAndAnError() throws {
        let world = try filledWorld()
        let other = SyntheticNode("other")
        let model = try #require(world.cluster.enter(other.hello, now: 1_000)).0
        _ = model.begin(other.hello)
        try other.add(0, Subject(kind: .node), [.cpuUsage])
        for step in 1...30 { try model.receive(other.frame(step: 10_000 + Int64(step) * 1_000)) }
        let text = try world.scrape("/metrics/resource")
        #expect(
            text.samples.filter { $0.name == "node_cpu_usage_seconds_total" }
                .map { $0.labels["node"] } == ["other"])
        #expect(text.first("resource_scrape_error", "node", "n\"1")?.value == "1")
        #expect(text.first("resource_scrape_error", "node", "other")?.value == "0")
    }

    // MARK: What applications pushed

    private func scrape(_ golden: GoldenCluster, _ path: String, _ fields: String = "") throws
        -> String
    { String(decoding: try golden.answer(path, fields).body, as: UTF8.self) }

    @Test func pushedMetricsAreOnAPageOfTheirOwnAndFederated() throws {
        guard let golden = try GoldenCluster(steps: 4, framesOnly: true) else { return }
        let text = """
            # TYPE jobs_total counter
            jobs_total{namespace="shop",pod="web-0",kind="a\\"b"} 3
            jobs_total{namespace="shop",pod="web-1"} 4.5
            # TYPE queue gauge
            queue{namespace="shop",pod="web-0",container="app"} 7
            queue 9
            container_cpu_usage_seconds_total{namespace="shop",pod="web-0"} 1

            """
        let pushed = try golden.answer(
            "/api/v1/push/prometheus", "", method: "POST", sending: text)
        #expect(pushed.response.status == .ok, "\(String(decoding: pushed.body, as: UTF8.self))")
        let page = try ScrapedText(golden.answer("/metrics/custom").body)
        let all = page.samples.map { sample in
            let labels = ["namespace", "pod", "container", "kind"].map { sample.labels[$0] ?? "-" }
            return "\(sample.name) \(labels.joined(separator: " ")) \(sample.value)"
        }
        #expect(
            all == [
                "container_cpu_usage_seconds_total shop web-0 - - 1",
                "jobs_total shop web-0 - a\"b 3", "jobs_total shop web-1 - - 4.5",
                "queue - - - - 9", "queue shop web-0 app - 7",
            ])
        // The cycle is not over yet, and no sample is of the future.
        #expect(page.samples.allSatisfy { $0.time == "1767225788000" }, "\(page.samples)")
        #expect(try scrape(golden, "/metrics/custom").contains("# TYPE jobs_total counter\n"))
        let chosen = try ScrapedText(
            golden.answer("/metrics/custom?match[]=queue%7Bpod%3D~%22web-.*%22%7D").body)
        #expect(chosen.samples.map(\.value) == ["7"])
        // Not in the place of a container's own figure.
        let federated = try ScrapedText(
            golden.answer(
                "/federate?match[]=jobs_total&match[]=container_cpu_usage_seconds_total"
            ).body)
        #expect(federated.samples.filter { $0.name == "jobs_total" }.count == 2)
        let borrowed = federated.samples.filter { $0.name.hasPrefix("container_") }
        #expect(borrowed.count > 5 && borrowed.allSatisfy { $0.labels["namespace"] != "shop" })
        let open = try scrape(
            golden, "/metrics/custom?match[]=jobs_total",
            "Accept: application/openmetrics-text\r\n")
        #expect(
            open.hasPrefix("# HELP jobs Pushed by applications.\n# TYPE jobs counter\n"),
            "\(open)")
        #expect(open.hasSuffix("# EOF\n"))
        // Nobody pushed for two minutes.
        golden.clock.advance(nanoseconds: 181_000_000_000)
        #expect(try scrape(golden, "/metrics/custom").isEmpty)
    }
}
