import Foundation

/// What a kubelet answers at `/stats/summary`, as far as frames can carry it.
///
/// Source: `staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go`. Every figure may be
/// missing; what is missing is not sent.
struct KubeletSummary: Decodable {
    var node: Node
    var pods: [Pod]

    struct Node: Decodable {
        var nodeName: String
        var startTime: String?
        var cpu: CPU?
        var memory: Memory?
        var network: Network?
        var fs: Filesystem?
        var systemContainers: [Container]?
    }

    struct Pod: Decodable {
        var podRef: Reference
        var startTime: String?
        var containers: [Container]?
        var cpu: CPU?
        var memory: Memory?
        var network: Network?
        var volume: [Filesystem]?
        var ephemeralStorage: Filesystem?

        enum CodingKeys: String, CodingKey {
            case podRef, startTime, containers, cpu, memory, network, volume
            case ephemeralStorage = "ephemeral-storage"
        }
    }

    struct Reference: Decodable {
        var name: String
        var namespace: String
        var uid: String
    }

    struct Container: Decodable {
        var name: String
        var startTime: String?
        var cpu: CPU?
        var memory: Memory?
        var rootfs: Filesystem?
        var logs: Filesystem?
        var accelerators: [Accelerator]?
        var userDefinedMetrics: [UserDefinedMetric]?
    }

    struct CPU: Decodable {
        var time: String?
        var usageCoreNanoSeconds: UInt64?
    }

    struct Memory: Decodable {
        var time: String?
        var usageBytes: UInt64?
        var workingSetBytes: UInt64?
        var rssBytes: UInt64?
        var pageFaults: UInt64?
        var majorPageFaults: UInt64?
    }

    /// The default interface's counters stand beside the list of all interfaces; Heapster takes
    /// the former, and so does this.
    struct Network: Decodable {
        var time: String?
        var name: String?
        var rxBytes: UInt64?
        var rxErrors: UInt64?
        var txBytes: UInt64?
        var txErrors: UInt64?
    }

    struct Filesystem: Decodable {
        var time: String?
        /// A volume's; the others have none.
        var name: String?
        var usedBytes: UInt64?
        var capacityBytes: UInt64?
        var availableBytes: UInt64?
        var inodes: UInt64?
        var inodesFree: UInt64?
    }

    struct Accelerator: Decodable {
        var make: String
        var model: String
        var id: String
        var memoryTotal: UInt64?
        var memoryUsed: UInt64?
        var dutyCycle: UInt64?
    }

    /// Has no number in the catalogue, so it is not sent.
    struct UserDefinedMetric: Decodable {
        var name: String
    }
}
