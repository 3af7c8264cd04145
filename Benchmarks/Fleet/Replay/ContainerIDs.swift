import Foundation

/// Container IDs for a recording: those of a pod list where it has them, made up where not.
struct ContainerIDs {
    private var listed: [String: String] = [:]

    /// - Parameter pods: a Kubernetes PodList as parsed JSON; empty for none.
    init(pods: [String: Any]) {
        for pod in pods["items"] as? [[String: Any]] ?? [] {
            let uid = (pod["metadata"] as? [String: Any])?["uid"] as? String ?? ""
            let status = pod["status"] as? [String: Any]
            for container in status?["containerStatuses"] as? [[String: Any]] ?? [] {
                guard let name = container["name"] as? String,
                    let identifier = container["containerID"] as? String
                else { continue }
                let digits = identifier.split(separator: "/").last.map(String.init) ?? identifier
                listed["\(uid)/\(name)"] = digits
            }
        }
    }

    /// 64 hexadecimal digits that depend on the arguments alone. A restarted container has another
    /// start time and so, as in a cluster, another ID.
    func identifier(podUID: String, name: String, startTime: String?) -> String {
        if let listed = listed["\(podUID)/\(name)"] { return listed }
        return stableHexadecimal("\(podUID)/\(name)/\(startTime ?? "")", digits: 64)
    }
}

/// Hexadecimal digits that depend on the text alone (FNV-1a over the text and a counter).
func stableHexadecimal(_ text: String, digits: Int) -> String {
    var result = ""
    var counter: UInt8 = 0
    while result.utf8.count < digits {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 + [counter] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        // FNV's upper bits hardly depend on the last bytes; one round of mixing spreads them.
        hash = (hash ^ (hash >> 32)) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
        let text = String(hash, radix: 16)
        result += String(repeating: "0", count: 16 - text.utf8.count) + text
        counter += 1
    }
    return String(result.prefix(digits))
}
