/// Which of the node's interfaces are shown, and which of them make up the node's traffic.
///
/// By name alone: `/sys/class/net`, which knows better, shows the network namespace of whoever
/// mounted it.
enum NodeInterfaces {
    /// The host's ends of pods' interfaces: a pod's traffic is shown in the pod.
    private static let podEnds: [StaticString] = ["veth", "docker", "nerdctl", "cali", "lxc"]
    /// Bridges, tunnels and other interfaces whose bytes pass through another one as well.
    private static let virtual: [StaticString] = [
        "cni", "flannel", "cilium", "ifb", "dummy", "kube-", "nodelocaldns", "tunl", "vxlan",
        "geneve", "br-", "virbr", "bond", "team",
    ]

    static func isWanted(_ name: KernelText) -> Bool {
        !name.equals("lo") && !podEnds.contains { name.hasPrefix($0) }
    }

    /// VLANs have a point in their names and are counted in what they are on.
    static func isCounted(_ name: KernelText) -> Bool {
        isWanted(name) && !virtual.contains { name.hasPrefix($0) } && !name.contains(Ascii.point)
    }
}
