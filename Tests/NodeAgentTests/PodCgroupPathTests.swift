import Testing

@testable import NodeAgent

@Suite struct PodCgroupPathTests {
    private static let id = "172dd4a0366000604e2c4de41457aa1eb3093bb59ead22e0f1d472a2aaade094"
    private static let uid = "0f3b2a10-1c2d-4e5f-8a9b-0c1d2e3f4a5b"
    private static let unit = "0f3b2a10_1c2d_4e5f_8a9b_0c1d2e3f4a5b"

    private func container(
        _ qosClass: PodCgroupPath.QOSClass, _ runtime: String?, uid: String = Self.uid
    ) -> PodCgroupPath {
        .container(podUID: uid, qosClass: qosClass, containerID: Self.id, runtime: runtime)
    }

    @Test func cgroupfsDriverNamesPodsAndContainers() {
        let pod = "kubepods/burstable/pod\(Self.uid)"
        #expect(
            PodCgroupPath(pod) == .pod(uid: Self.uid, qosClass: .burstable, driver: .cgroupfs))
        #expect(PodCgroupPath("/\(pod)/\(Self.id)/") == container(.burstable, nil))
        #expect(PodCgroupPath("\(pod)/crio-\(Self.id)") == container(.burstable, "cri-o"))
        #expect(
            PodCgroupPath("kubepods/pod\(Self.uid)/\(Self.id)") == container(.guaranteed, nil))
        #expect(
            PodCgroupPath("kubepods/besteffort/pod\(Self.uid)/\(Self.id)")
                == container(.besteffort, nil))
    }

    @Test(arguments: [
        ("cri-containerd-", "containerd"), ("crio-", "cri-o"), ("docker-", "docker"),
        ("libpod-", "podman"),
    ])
    func systemdDriverNamesPodsAndContainers(_ prefix: String, _ runtime: String) {
        for (slice, qosClass) in [
            ("kubepods-burstable.slice/kubepods-burstable-pod", PodCgroupPath.QOSClass.burstable),
            ("kubepods-besteffort.slice/kubepods-besteffort-pod", .besteffort),
            ("kubepods-pod", .guaranteed),
        ] {
            let pod = "kubepods.slice/\(slice)\(Self.unit).slice"
            #expect(
                PodCgroupPath(pod) == .pod(uid: Self.uid, qosClass: qosClass, driver: .systemd))
            #expect(
                PodCgroupPath("\(pod)/\(prefix)\(Self.id).scope") == container(qosClass, runtime))
        }
    }

    @Test func rootsOtherThanSlashAndNestedPrefixesAreSeenThrough() {
        let kind =
            "docker/\(Self.id)/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice"
            + "/kubelet-kubepods-burstable-pod\(Self.unit).slice"
        #expect(
            PodCgroupPath(kind) == .pod(uid: Self.uid, qosClass: .burstable, driver: .systemd))
        #expect(
            PodCgroupPath("\(kind)/cri-containerd-\(Self.id).scope")
                == container(.burstable, "containerd"))
        #expect(
            PodCgroupPath("kubelet/kubepods/besteffort/pod\(Self.uid)/\(Self.id)")
                == container(.besteffort, nil))
    }

    @Test func staticPodsHaveUIDsWithoutDashes() {
        let uid = "9b3c1f0a7d2e4c5b8a6f0e1d2c3b4a59"
        #expect(
            PodCgroupPath("kubepods/burstable/pod\(uid)/\(Self.id)")
                == container(.burstable, nil, uid: uid))
        #expect(
            PodCgroupPath("kubepods.slice/kubepods-pod\(uid).slice")
                == .pod(uid: uid, qosClass: .guaranteed, driver: .systemd))
    }

    @Test func aRuntimeWithTheOtherDriverIsUnderstood() {
        let name = "kubepods-burstable-pod\(Self.unit).slice:cri-containerd:\(Self.id)"
        #expect(
            PodCgroupPath("system.slice/containerd.service/\(name)")
                == container(.burstable, "containerd"))
        #expect(PodCgroupPath("\(name)/nested") == .insidePod)
    }

    @Test func whatIsInAContainerOrBesideItIsNoSubject() {
        let pod =
            "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod\(Self.unit).slice"
        #expect(PodCgroupPath("\(pod)/crio-conmon-\(Self.id).scope") == .insidePod)
        #expect(PodCgroupPath("\(pod)/crio-\(Self.id)") == .insidePod)
        #expect(PodCgroupPath("\(pod)/crio-\(Self.id).scope/init.scope") == .insidePod)
        #expect(PodCgroupPath("\(pod)/notes") == .insidePod)
        #expect(PodCgroupPath("kubepods/pod\(Self.uid)/\(Self.id)/a/b") == .insidePod)
    }

    @Test func groupsOfPodsAreTold() {
        for path in [
            "kubepods", "kubepods/burstable", "kubepods.slice",
            "kubelet.slice/kubelet-kubepods.slice",
            "kubepods.slice/kubepods-besteffort.slice",
        ] { #expect(PodCgroupPath(path) == .podGroup, "\(path)") }
    }

    @Test func everythingElseIsASystemCgroup() {
        for path in [
            "", "init.scope", "system.slice/ssh.service", "user.slice/user-1000.slice",
            "system.slice/kubepods.service", "pod\(Self.uid)", "a/pod/b", "kubepodsx/pod1",
            "mykubepods.slice", "x:y", "a:b:c",
        ] { #expect(PodCgroupPath(path) == .other(containerID: nil, runtime: nil), "\(path)") }
        #expect(
            PodCgroupPath("machine.slice/libpod-\(Self.id).scope")
                == .other(containerID: Self.id, runtime: "podman"))
        #expect(
            PodCgroupPath("docker/\(Self.id)") == .other(containerID: Self.id, runtime: nil))
    }
}
