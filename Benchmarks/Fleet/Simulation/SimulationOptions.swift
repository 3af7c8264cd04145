import Wire

/// What `heapwire-fleet simulate` is told.
struct SimulationOptions {
    var nodes: Int
    /// Per node.
    var pods: Int
    /// Per node, spread over its pods.
    var containers: Int
    /// Milliseconds between frames.
    var resolution: Int64
    /// Percent of the pods that are replaced (or have a container restarted) in a minute.
    var churnPerMinute: Double
    /// Percent of the nodes that lose their connection in a minute.
    var dropsPerMinute: Double
    /// Milliseconds; 0 runs until a signal.
    var duration: Int64
    /// Milliseconds after the first step before which latencies do not count.
    var warmUp: Int64
    /// Milliseconds before the first step of which every node has the frames when it connects.
    var backlog: Int64
    /// Over so many milliseconds of each step the nodes' frames are spread.
    var spread: Int64
    var streams: Int
    var threads: Int
    var connectsPerSecond: Int
    var seed: UInt64
    var target: FleetTarget
    var token: String?
    var podsPath: String?
    var watchedPID: Int?
    /// The API to ask questions of while it runs.
    var api: SocketAddress?
    /// The aggregator was given the pod list, so it goes by names.
    var aggregatorKnowsPods: Bool

    static let flags: [Flag] = [
        Flag("nodes", "N", default: "100", "Nodes, each with its own connection."),
        Flag("pods", "N", default: "30", "Pods of a node."),
        Flag("containers", "N", default: "60", "Containers of a node, spread over its pods."),
        Flag("resolution", "DURATION", default: "1s", "Time between frames."),
        Flag(
            "churn", "PERCENT", default: "0",
            "Part of the pods that is replaced in a minute; a quarter of that are containers that "
                + "restart in their pod."),
        Flag(
            "drop", "PERCENT", default: "0",
            "Part of the nodes that lose their connection in a minute, and return within 20 s with "
                + "the frames of that time."),
        Flag("duration", "DURATION", default: "30s", "From the first step on; 0 for no end."),
        Flag(
            "warm-up", "DURATION", default: "3s",
            "Time from the first step in which latencies and rates do not count yet."),
        Flag(
            "spread", "DURATION",
            "Time over which the nodes' frames of one step are spread; by default 80 % of a step, "
                + "at most 2s. 0 sends all at once."),
        Flag(
            "streams", "N", default: "64",
            "Distinct nodes. What the others send has the same figures under names of their own."),
        Flag(
            "backlog", "DURATION", default: "0s",
            "Every node brings the frames of so much time with it when it connects, as after an outage. "
                + "Warm-up and duration begin when all have come: see --connect-rate."),
        Flag("threads", "N", default: "1", "Event loops."),
        Flag("connect-rate", "N", default: "2000", "Connections opened in a second."),
        Flag("seed", "N", default: "1", "Repeats the same figures."),
        Flag(
            "write-pods", "FILE",
            "Write the PodList of all nodes as of the first step, and again at the end if pods came "
                + "and went."),
        Flag(
            "watch-pid", "PID",
            "Process whose CPU time and memory go into the result: the aggregator."),
        Flag(
            "api", "HOST:PORT",
            "The aggregator's API: measure when samples become visible in it and how long a pod's "
                + "whole series takes."),
        Flag("aggregator-has-pods", "", "The aggregator was given the pod list of --write-pods."),
    ]

    init(_ line: inout CommandLine) throws {
        nodes = line.integer("nodes", in: 1...50_000) ?? 1
        pods = line.integer("pods", in: 1...2_000) ?? 1
        containers = line.integer("containers", in: 0...5_000) ?? 0
        resolution = line.milliseconds("resolution", in: 50...3_600_000) ?? 1_000
        churnPerMinute = try Self.percent(&line, "churn")
        dropsPerMinute = try Self.percent(&line, "drop")
        duration = line.milliseconds("duration", in: 0...86_400_000) ?? 0
        warmUp = line.milliseconds("warm-up", in: 0...3_600_000) ?? 0
        backlog = line.milliseconds("backlog", in: 0...86_400_000) ?? 0
        spread =
            line.milliseconds("spread", in: 0...resolution) ?? min(2_000, resolution * 8 / 10)
        streams = line.integer("streams", in: 1...10_000) ?? 1
        threads = line.integer("threads", in: 1...64) ?? 1
        connectsPerSecond = line.integer("connect-rate", in: 1...100_000) ?? 1
        seed = UInt64(line.integer("seed", in: 0...Int.max) ?? 0)
        target = try FleetOptions.target(&line)
        token = try FleetOptions.token(&line)
        podsPath = line.text("write-pods")
        watchedPID = line.integer("watch-pid", in: 1...Int(Int32.max))
        api = try line.text("api").map { try HostAndPort(parsing: $0).resolve()[0] }
        aggregatorKnowsPods = line.bool("aggregator-has-pods")
        streams = max(threads, min(streams, nodes) / threads * threads)
        if backlog > 0 {
            let arrival = Int64(nodes) * 1_000 / Int64(connectsPerSecond) + 3_000
            warmUp += arrival
            if duration > 0 { duration += arrival }
        }
    }

    /// When in a step a stream's frame is taken, milliseconds: streams are spread evenly.
    func delay(ofStream stream: Int) -> Int64 { spread * Int64(stream) / Int64(streams) }

    /// Frames that a node can send again: those of ten minutes, as an agent's ring is to hold, or of the
    /// backlog and the time that it takes all nodes to come.
    var keptFrames: Int {
        let arrival = backlog > 0 ? warmUp + 60_000 : 0
        return max(40, Int(max(600_000, backlog + arrival) / resolution))
    }

    private static func percent(_ line: inout CommandLine, _ name: String) throws -> Double {
        guard let text = line.text(name), let value = Double(text), (0...1_000).contains(value)
        else { throw FleetFailure.usage("--\(name) is not a percentage from 0 to 1000") }
        return value
    }
}
