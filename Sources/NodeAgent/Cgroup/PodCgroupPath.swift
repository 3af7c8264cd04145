/// What a cgroup's path says about whose it is.
///
/// Every layout that kubelets and runtimes make: the systemd and the cgroupfs driver, a cgroup root
/// other than `/` and its prefix on slices (`kubelet-kubepods-…` in kind), containerd, CRI-O,
/// Docker and Podman names, static pods, and a runtime whose driver does not match the kubelet's.
/// Pure: looks at nothing but the path.
enum PodCgroupPath: Equatable, Sendable {
    /// A pod's own cgroup.
    case pod(uid: String, qosClass: QOSClass, driver: Driver)
    /// A container of a pod, the sandbox among them.
    case container(podUID: String, qosClass: QOSClass, containerID: String, runtime: String?)
    /// Below a container, or a runtime's own process in a pod: counted in what is above it.
    case insidePod
    /// All pods or all of one QoS class: `kubepods`, `kubepods-burstable.slice`.
    case podGroup
    /// Anything else; the container ID and runtime where a container of no pod can be told.
    case other(containerID: String?, runtime: String?)

    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
    enum QOSClass: String, Sendable { case guaranteed, burstable, besteffort }

    /// Who makes the cgroups: systemd (slices and scopes) or the kubelet itself.
    enum Driver: String, Sendable { case systemd, cgroupfs }

    /// - Parameter path: relative to the hierarchy's root, with or without slashes at its ends.
    init(_ path: String) {
        let components = path.split(separator: "/")
        var qosClass = QOSClass.guaranteed
        var isBelowPods = false
        for (index, component) in components.enumerated() {
            if let unit = Self.unitOfMismatchedDriver(component) {
                self = index == components.count - 1 ? unit : .insidePod
                return
            }
            if let slice = PodSlice(component) {
                guard let uid = slice.podUID else {
                    isBelowPods = true
                    continue
                }
                self = Self.pod(
                    uid, slice.qosClass, .systemd, rest: components[(index + 1)...])
                return
            }
            if component == "kubepods" {
                isBelowPods = true
            } else if isBelowPods, component == "burstable" {
                qosClass = .burstable
            } else if isBelowPods, component == "besteffort" {
                qosClass = .besteffort
            } else if isBelowPods, component.hasPrefix("pod"), component.utf8.count > 3 {
                self = Self.pod(
                    String(component.dropFirst(3)), qosClass, .cgroupfs,
                    rest: components[(index + 1)...])
                return
            }
        }
        self = isBelowPods ? .podGroup : Self.other(components.last)
    }

    private static func pod(
        _ uid: String, _ qosClass: QOSClass, _ driver: Driver, rest: ArraySlice<Substring>
    ) -> PodCgroupPath {
        guard let name = rest.first else {
            return .pod(uid: uid, qosClass: qosClass, driver: driver)
        }
        guard rest.count == 1, let container = ContainerName(name) else { return .insidePod }
        // CRI-O makes such a cgroup for a sandbox without a process.
        if driver == .systemd, container.runtime == "cri-o", !name.hasSuffix(".scope") {
            return .insidePod
        }
        return .container(
            podUID: uid, qosClass: qosClass, containerID: container.id, runtime: container.runtime)
    }

    private static func other(_ name: Substring?) -> PodCgroupPath {
        guard let name, let container = ContainerName(name), container.id.utf8.count == 64 else {
            return .other(containerID: nil, runtime: nil)
        }
        return .other(containerID: container.id, runtime: container.runtime)
    }

    /// `kubepods-burstable-pod<uid>.slice:cri-containerd:<id>`: a systemd path given to a runtime that
    /// makes plain directories of it.
    private static func unitOfMismatchedDriver(_ component: Substring) -> PodCgroupPath? {
        let parts = component.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let name = parts[0].hasSuffix(".slice") ? parts[0] : parts[0] + ".slice"
        guard let slice = PodSlice(name), let uid = slice.podUID,
            let container = ContainerName("\(parts[1])-\(parts[2])")
        else { return nil }
        return .container(
            podUID: uid, qosClass: slice.qosClass, containerID: container.id,
            runtime: container.runtime)
    }
}

/// The name of a slice made by a kubelet with the systemd driver:
/// `[<root>-]kubepods[-burstable|-besteffort][-pod<uid>].slice`, in which a dash is a level and
/// the UID's dashes are underscores.
private struct PodSlice {
    var qosClass = PodCgroupPath.QOSClass.guaranteed
    /// With dashes; `nil` for a group of pods.
    var podUID: String?

    init?(_ component: Substring) {
        guard component.hasSuffix(".slice") else { return nil }
        let levels = component.dropLast(6).split(separator: "-", omittingEmptySubsequences: false)
        guard let pods = levels.firstIndex(of: "kubepods") else { return nil }
        for level in levels[(pods + 1)...] {
            switch level {
            case "burstable": qosClass = .burstable
            case "besteffort": qosClass = .besteffort
            case _ where level.hasPrefix("pod") && level.utf8.count > 3:
                podUID = String(level.dropFirst(3).map { $0 == "_" ? "-" : $0 })
            default: return nil
            }
        }
    }
}

/// The name of a container's cgroup: `<runtime>-<id>.scope`, `<runtime>-<id>` or `<id>`.
private struct ContainerName {
    var id: String
    /// `nil` for a bare ID, which containerd and Docker both use with the cgroupfs driver.
    var runtime: String?

    /// Prefixes of the runtimes; what is `nil` is a process of the runtime's own.
    private static let prefixes: [(String, String?)] = [
        ("cri-containerd-", "containerd"), ("crio-conmon-", nil), ("libpod-conmon-", nil),
        ("crio-", "cri-o"), ("docker-", "docker"), ("libpod-", "podman"),
        ("containerd-", "containerd"),
        ("nerdctl-", "containerd"),
    ]

    init?(_ component: some StringProtocol) {
        var name = Substring(component)
        if name.hasSuffix(".scope") { name = name.dropLast(6) }
        var runtime: String?
        for (prefix, owner) in Self.prefixes where name.hasPrefix(prefix) {
            guard let owner else { return nil }
            runtime = owner
            name = name.dropFirst(prefix.utf8.count)
            break
        }
        // Runtimes use 64 digits; ctr and tests use shorter ones.
        guard (12...128).contains(name.utf8.count), name.utf8.allSatisfy(Self.isHexadecimal) else {
            return nil
        }
        id = String(name)
        self.runtime = runtime
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
