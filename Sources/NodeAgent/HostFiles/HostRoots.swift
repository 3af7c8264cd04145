/// Where the host's trees are, as this process sees them. In a container they are mounts.
struct HostRoots: Equatable, Sendable {
    /// procfs of the host's PID namespace.
    var proc = "/proc"
    /// The cgroup filesystems.
    var cgroup = "/sys/fs/cgroup"
    var sys = "/sys"
    /// The host's root directory, in which mount points are looked up; empty for this process's own.
    var rootfs = ""
    /// The kubelet's directory as the host names it.
    var kubelet = "/var/lib/kubelet"

    /// A host path as this process sees it.
    func path(onHost path: String) -> String { rootfs + path }
}
