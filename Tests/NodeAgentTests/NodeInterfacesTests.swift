import Testing

@testable import NodeAgent

/// Names as kernels, CNI plugins and container engines give them.
@Suite struct NodeInterfacesTests {
    private func tell(_ name: String) -> (isWanted: Bool, isCounted: Bool) {
        Array(name.utf8).withUnsafeBufferPointer {
            (NodeInterfaces.isWanted($0), NodeInterfaces.isCounted($0))
        }
    }

    @Test(arguments: [
        "eth0", "ens5", "enp0s31f6", "eno1", "enx001122334455", "wlan0", "wlp2s0", "ib0", "usb0",
        "venet0", "wwan0", "eth10", "lan1", "p1p1", "em1",
    ])
    func cardsAreShownAndCounted(_ name: String) {
        #expect(tell(name) == (true, true))
    }

    @Test(arguments: [
        "lo", "veth1a2b3c", "docker0", "nerdctl0", "cali12345", "lxc0a1b2c", "lxc_health",
    ])
    func podsEndsAreNotShown(_ name: String) {
        #expect(tell(name) == (false, false))
    }

    @Test(arguments: [
        "cni0", "flannel.1", "cilium_host", "cilium_net", "cilium_vxlan", "ifb0", "dummy0",
        "kube-ipvs0", "kube-bridge", "nodelocaldns", "tunl0", "vxlan.calico", "geneve_sys_6081",
        "br-0a1b2c", "virbr0", "bond0", "team0", "eth0.100", "bond0.20",
    ])
    func whatPassesThroughAnotherOneIsShownButNotCounted(_ name: String) {
        #expect(tell(name) == (true, false))
    }
}
