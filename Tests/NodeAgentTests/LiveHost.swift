import Foundation
import Testing
import Wire

@testable import NodeAgent

/// The running machine's own files, read by the sampler and by the independent reader.
enum LiveHost {
    /// What an independent reader finds just before and just after: a counter must lie between, and a
    /// gauge that did not change must be what it was.
    ///
    /// - Parameter steady: subjects whose gauges are compared.
    static func compare(
        _ sampled: Readings, before: Readings, after: Readings, steady: Set<String>
    ) -> [String] {
        var faults: [String] = []
        for (key, first) in before.values.sorted(by: { $0.key < $1.key }) {
            guard let last = after.values[key] else { continue }
            guard let value = sampled.values[key] else {
                faults.append("\(key) is missing")
                continue
            }
            let isCounter = Catalog.metric(named: key.metric)?.kind == .counter
            let isCompared = isCounter || (first == last && steady.contains(key.subject))
            if isCompared, !(min(first, last)...max(first, last)).contains(value) {
                faults.append("\(key) is \(value), not \(first) to \(last)")
            }
        }
        for (subject, start) in before.starts where after.starts[subject] == start {
            if let known = sampled.starts[subject], known != start {
                faults.append("\(subject) started at \(known), not \(start)")
            }
        }
        return faults
    }

    struct Readings {
        var values: [SampledValues.Key: Int64] = [:]
        var starts: [String: Int64] = [:]

        init(_ sampled: SampledValues) {
            values = sampled.values
            starts = sampled.subjects.mapValues(\.startTimeMilliseconds)
        }

        /// Lines of subject, metric and value.
        init(_ text: String) throws {
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: "\t")
                let value = try #require(Int64(parts[2]))
                if parts[1] == "start" {
                    starts[String(parts[0])] = value
                } else {
                    values[
                        SampledValues.Key(subject: String(parts[0]), metric: String(parts[1]))] =
                        value
                }
            }
        }

        /// What the independent reader finds now.
        static func now() throws -> Readings {
            let script = packageRoot + "/Tests/NodeAgentTests/fixture_oracle.py"
            return try Readings(
                run("/usr/bin/env", ["python3", script, "/proc", "/sys", "/sys/fs/cgroup"]))
        }
    }

    /// Why containers cannot be run here; `nil` where they can.
    static let unavailable: String? = {
        if getuid() != 0 { return "not root" }
        for program in ["/usr/sbin/runc", "/bin/busybox"]
        where !FileManager.default.isExecutableFile(atPath: program) {
            return "\(program) is not there (apt install runc busybox-static)"
        }
        return nil
    }()
}

/// A container that runc runs, in a pod's cgroup as the kubelet's cgroupfs driver names it.
final class RuncContainer {
    let podUID: String
    let containerID: String
    private let bundle: TemporaryDirectory
    private let root: String

    var subject: String { "container \(podUID) \(containerID)" }
    var pod: String { "pod \(podUID)" }
    var cgroup: String { "kubepods/burstable/pod\(podUID)/\(containerID)" }

    struct Limits {
        var memoryBytes: Int?
        /// Microseconds per 100 ms.
        var cpuQuota: Int?
        var pids: Int?
        var hasOwnNetwork = true
        /// A directory of the host, mounted at /data.
        var data: String?
        /// Has a block I/O rule for the disk that holds the test's files.
        var isThrottled = false
    }

    init(pod: String = UUID().uuidString.lowercased(), _ command: String, _ limits: Limits) throws {
        podUID = pod
        containerID = (UUID().uuidString + UUID().uuidString).lowercased().filter { $0 != "-" }
        bundle = try TemporaryDirectory()
        root = bundle.path + "/state"
        let rootfs = bundle.path + "/rootfs"
        for directory in ["bin", "proc", "dev", "sys", "data", "tmp"] {
            try FileManager.default.createDirectory(
                atPath: rootfs + "/" + directory, withIntermediateDirectories: true)
        }
        try FileManager.default.copyItem(atPath: "/bin/busybox", toPath: rootfs + "/bin/busybox")
        try FileManager.default.createSymbolicLink(
            atPath: rootfs + "/bin/sh", withDestinationPath: "busybox")
        let specification = Self.specification(command, limits, "/" + cgroup)
        try JSONSerialization.data(withJSONObject: specification).write(
            to: URL(fileURLWithPath: bundle.path + "/config.json"))
        try run(
            "/bin/sh",
            [
                "-c",
                "exec /usr/sbin/runc --root '\(root)' run -d -b '\(bundle.path)' \(containerID) "
                    + "</dev/null >/dev/null 2>'\(bundle.path)/log'",
            ])
    }

    private static func specification(
        _ command: String, _ limits: Limits, _ cgroup: String
    ) -> [String: Any] {
        var resources: [String: Any] = [:]
        if let bytes = limits.memoryBytes { resources["memory"] = ["limit": bytes, "swap": bytes] }
        if let quota = limits.cpuQuota {
            resources["cpu"] = ["quota": quota, "period": 100_000, "shares": 512]
        }
        if let pids = limits.pids { resources["pids"] = ["limit": pids] }
        if limits.isThrottled, let data = limits.data {
            var status = stat()
            stat(data, &status)
            let device: [String: Any] = [
                "major": Int(status.st_dev >> 8 & 0xFFF), "minor": Int(status.st_dev & 0xFF),
                "rate": 10 << 30,
            ]
            resources["blockIO"] = ["throttleWriteBpsDevice": [device]]
        }
        var namespaces = [["type": "pid"], ["type": "mount"], ["type": "ipc"], ["type": "uts"]]
        if limits.hasOwnNetwork { namespaces.append(["type": "network"]) }
        var mounts: [[String: Any]] = [
            ["destination": "/proc", "type": "proc", "source": "proc"],
            ["destination": "/tmp", "type": "tmpfs", "source": "tmpfs"],
        ]
        if let data = limits.data {
            mounts.append(
                [
                    "destination": "/data", "type": "bind", "source": data,
                    "options": ["bind", "rw"],
                ])
        }
        let capabilities = ["CAP_NET_ADMIN", "CAP_NET_RAW"]
        return [
            "ociVersion": "1.0.2",
            "process": [
                "user": ["uid": 0, "gid": 0], "cwd": "/", "env": ["PATH=/bin"],
                "args": ["/bin/sh", "-c", "/bin/busybox --install -s /bin; " + command],
                "capabilities": [
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                ],
            ],
            "root": ["path": "rootfs"], "hostname": "test", "mounts": mounts,
            "linux": ["cgroupsPath": cgroup, "namespaces": namespaces, "resources": resources],
        ]
    }

    func stop() {
        _ = try? run("/usr/sbin/runc", ["--root", root, "delete", "--force", containerID])
        let pod = "/kubepods/burstable/pod\(podUID)"
        for hierarchy in (try? FileManager.default.contentsOfDirectory(atPath: "/sys/fs/cgroup"))
            ?? []
        {
            rmdir("/sys/fs/cgroup/\(hierarchy)" + pod)
        }
    }

    deinit { stop() }
}

/// Waits until something holds, a minute at most.
func eventually(_ seconds: Double = 60, _ holds: () throws -> Bool) rethrows -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
        if try holds() { return true }
        Thread.sleep(forTimeInterval: 0.05)
    }
    return try holds()
}
