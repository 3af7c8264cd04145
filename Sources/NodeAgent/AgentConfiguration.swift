import Glibc
import Wire
import WireTLS

/// Every flag of the agent.
struct AgentConfiguration {
    var aggregators: [HostAndPort] = []
    var nodeName = ""
    /// Milliseconds between frames; `nil` takes the aggregator's.
    var resolution: Int64?
    var roots = HostRoots()
    var groups = SampleGroups.standard
    var walkRate = 0
    var walkInterval: Int64 = 300_000
    var isPrinting = false
    /// `--print-values`: for programs.
    var isPrintingValues = false
    var ringBytes = 4 << 20
    var spoolDirectory: String?
    var tokenFile: String?
    /// The token file is a service account's.
    var isServiceAccountToken = false
    /// Frames may go unencrypted to other machines.
    var isInsecure = false
    let security = DeliverySecurity()
    var logLevel = Diagnostics.Level.info

    static let flags: [Flag] = [
        Flag(
            "aggregator", "HOST:PORT", repeatable: true,
            "Where frames go. Given several times, each aggregator gets every frame. A name is looked "
                + "up again at each connection, and all its addresses are tried."),
        Flag(
            "node-name", "NAME",
            "What this node is called in the cluster. Default: the host's name in lower case."),
        Flag(
            "resolution", "DURATION",
            "Time between frames, 100ms to 1h. Default: what the aggregator wishes, 10s until it "
                + "was heard."),
        Flag("proc", "DIR", default: "/proc", "Where the host's procfs is mounted."),
        Flag("cgroup", "DIR", default: "/sys/fs/cgroup", "Where the host's cgroups are mounted."),
        Flag("sys", "DIR", default: "/sys", "Where the host's sysfs is mounted."),
        Flag(
            "rootfs", "DIR",
            "Where the host's root directory is mounted, for filesystems. Default: the agent's own."
        ),
        Flag(
            "kubelet-dir", "DIR", default: "/var/lib/kubelet",
            "The kubelet's directory on the host, for volumes of pods."),
        Flag(
            "enable", "GROUPS", repeatable: true,
            "Groups of metrics to sample besides the standard ones, separated by commas."),
        Flag(
            "disable", "GROUPS", repeatable: true,
            "Groups of metrics not to sample, separated by commas. The groups are: "
                + SampleGroups.names.map(\.name).joined(separator: ", ") + ", and all."),
        Flag(
            "walk-rate", "FILES", default: "0",
            "Files and directories a second, up to 1000000, that a thread of its own may look at to measure "
                + "writable layers, logs and emptyDirs of containers where no project quota counts them. "
                + "0 walks nothing."),
        Flag(
            "walk-interval", "DURATION", default: "5m",
            "Time between two walks of one directory, 1m to 24h."),
        Flag(
            "ring-bytes", "SIZE", default: "4Mi",
            "Memory for frames that no aggregator has acknowledged yet, 256Ki to 4Gi. The default "
                + "holds 10 minutes of 220 containers at 1s."),
        Flag(
            "spool-dir", "DIR",
            "Keeps the unacknowledged frames in files there, across restarts and a kill of the agent; "
                + "they take as much as --ring-bytes and half as much again at most."),
        Flag(
            "agent-token-file", "FILE",
            "The secret that the aggregator wants (its --agent-token-file). Read at each connection."
        ),
        Flag(
            "service-account-token-file", "FILE",
            "A projected token of this pod's service account with the audience heapwire, for aggregators "
                + "that check who speaks for a node. Read at each connection."),
        Flag(
            "ca-file", "FILE",
            "Whose certificates of aggregators are believed (PEM). Default: the system's "
                + "authorities. Certificates are read again when they change."),
        Flag(
            "client-cert", "FILE",
            "This agent's certificate chain (PEM), for aggregators with --ingest-client-ca."),
        Flag("client-key", "FILE", "The key of --client-cert (PEM)."),
        Flag(
            "server-name", "NAME",
            "The name in the aggregators' certificates. Default: the host in --aggregator."),
        Flag(
            "insecure-ingest", "",
            "Send frames over plain TCP to addresses other than loopback."),
        Flag("print", "", "Prints one sample of this machine as tables and exits."),
        Flag(
            "print-values", "",
            "Prints one sample of this machine as lines of subject, metric and value, and exits."),
        Flag("log-level", "LEVEL", default: "info", "debug, info, warning or error."),
    ]

    static var help: String {
        Wire.CommandLine.help(
            program: "heapwire-agent",
            summary: "samples this node's cgroups and pushes them to an aggregator",
            usage: "--aggregator=HOST:PORT [flags]", flags: flags)
    }

    /// Reads and checks all flags.
    ///
    /// - Throws: every problem at once, each a sentence with its remedy.
    init(_ commandLine: Wire.CommandLine) throws(AgentUsageError) {
        var line = commandLine
        isPrinting = line.bool("print")
        isPrintingValues = line.bool("print-values")
        nodeName = line.text("node-name") ?? Self.hostName
        if nodeName.isEmpty || nodeName.utf8.count > 253 {
            line.report(
                "a node's name has 1 to 253 characters, not \(nodeName.utf8.count); give --node-name"
            )
        }
        resolution = line.milliseconds("resolution", in: 100...3_600_000)
        roots.proc = line.text("proc") ?? roots.proc
        roots.cgroup = line.text("cgroup") ?? roots.cgroup
        roots.sys = line.text("sys") ?? roots.sys
        roots.rootfs = line.text("rootfs") ?? ""
        roots.kubelet = line.text("kubelet-dir") ?? roots.kubelet
        ringBytes = line.bytes("ring-bytes", in: (256 << 10)...(4 << 30)) ?? ringBytes
        walkRate = line.integer("walk-rate", in: 0...1_000_000) ?? walkRate
        walkInterval = line.milliseconds("walk-interval", in: 60_000...86_400_000) ?? walkInterval
        spoolDirectory = line.text("spool-dir")
        isInsecure = line.bool("insecure-ingest")
        readGroups(&line)
        readAggregators(&line)
        readToken(&line)
        readSecurity(&line)
        readLogLevel(&line)
        guard line.problems.isEmpty else { throw AgentUsageError(problems: line.problems) }
    }

    private mutating func readSecurity(_ line: inout Wire.CommandLine) {
        let paths = TLSFiles.Paths(
            certificate: line.text("client-cert"), key: line.text("client-key"),
            authorities: line.text("ca-file"))
        let isGiven = paths != TLSFiles.Paths()
        if (paths.certificate == nil) != (paths.key == nil) {
            line.report("--client-cert and --client-key belong together; give both")
        }
        if isInsecure, isGiven {
            line.report("--insecure-ingest and certificates contradict each other; choose one")
        }
        security.serverName = line.text("server-name")
        security.coversLoopback = isGiven
        security.isInsecure = isInsecure
        guard line.problems.isEmpty, isGiven else { return }
        do throws(TLSFilesError) {
            security.tls = try TLSFiles(paths, role: .client, minimum: .tls13)
        } catch {
            line.report("TLS: \(error)")
        }
    }

    private mutating func readGroups(_ line: inout Wire.CommandLine) {
        let (groups, unknown) = SampleGroups.parse(
            enable: line.texts("enable"), disable: line.texts("disable"))
        self.groups = groups
        for name in unknown {
            line.report(
                "\"\(name)\" is not a group of metrics; the groups are: "
                    + SampleGroups.names.map(\.name).joined(separator: ", "))
        }
    }

    private mutating func readAggregators(_ line: inout Wire.CommandLine) {
        for text in line.texts("aggregator") {
            do throws(TransportError) {
                let address = try HostAndPort(parsing: text)
                if aggregators.contains(address) {
                    line.report("--aggregator=\(text) is given twice; give each once")
                }
                aggregators.append(address)
            } catch {
                line.report("--aggregator: \(error)")
            }
        }
        if aggregators.isEmpty, !isPrinting, !isPrintingValues, line.texts("aggregator").isEmpty {
            line.report("nowhere to send frames; give --aggregator=HOST:PORT, or --print to look")
        }
        if aggregators.count > 16 {
            line.report("\(aggregators.count) aggregators are given; 16 is the limit")
        }
    }

    private mutating func readToken(_ line: inout Wire.CommandLine) {
        let shared = line.text("agent-token-file")
        let account = line.text("service-account-token-file")
        if shared != nil, account != nil {
            line.report(
                "--agent-token-file and --service-account-token-file are two ways to say who this is; "
                    + "give one")
        }
        guard let path = shared ?? account else { return }
        tokenFile = path
        isServiceAccountToken = shared == nil
        do throws(SmallFileError) {
            _ = try SmallFile.read(path, byteLimit: 16_384)
        } catch {
            line.report("\(tokenFlag): \(error)")
        }
    }

    /// The flag that names the token file.
    var tokenFlag: String {
        isServiceAccountToken ? "--service-account-token-file" : "--agent-token-file"
    }

    private mutating func readLogLevel(_ line: inout Wire.CommandLine) {
        switch line.text("log-level") {
        case "debug": logLevel = .debug
        case "info": logLevel = .info
        case "warning": logLevel = .warning
        case "error": logLevel = .error
        case let other:
            line.report(
                "--log-level=\(other ?? "") is not known; write debug, info, warning or error")
        }
    }

    private static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, 255) == 0 else { return "" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self
        )
        .lowercased()
    }
}

/// A command line that cannot be followed.
struct AgentUsageError: Error {
    let problems: [String]
}
