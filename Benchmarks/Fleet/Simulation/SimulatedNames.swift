import Wire

/// Names that belong to one simulated node and can be worked out again by whoever knows its number:
/// the dictionary of a shared stream has serial numbers (`p12`, `c25`) in their place.
struct SimulatedNames: Sendable {
    let node: Int

    var nodeName: String {
        let digits = String(node)
        return "sim-" + String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
    }

    func podUID(_ serial: Int) -> String {
        var digits = hexadecimal(1, serial, byteCount: 16)
        for dash in [8, 13, 18, 23] { digits.insert(UInt8(ascii: "-"), at: dash) }
        return String(decoding: digits, as: UTF8.self)
    }

    func containerID(_ serial: Int) -> String {
        String(decoding: hexadecimal(2, serial, byteCount: 32), as: UTF8.self)
    }

    func podName(_ serial: Int) -> String { "app-\(serial % 97)-\(node)-\(serial)" }

    func namespace(_ serial: Int) -> String {
        "team-\(SplitMix.mix(UInt64(node) << 20 ^ UInt64(serial)) % 40)"
    }

    /// The subject with this node's names.
    func stamp(_ subject: Subject) -> Subject {
        guard let pod = subject.attributes[.podUID].flatMap({ Int($0.dropFirst()) }) else {
            return subject
        }
        var stamped = subject
        stamped.attributes[.podUID] = podUID(pod)
        if let serial = subject.attributes[.containerID].flatMap({ Int($0.dropFirst()) }) {
            stamped.attributes[.containerID] = containerID(serial)
        }
        return stamped
    }

    private func hexadecimal(_ purpose: UInt64, _ serial: Int, byteCount: Int) -> [UInt8] {
        var random = SplitMix(
            seed: SplitMix.mix(UInt64(node) &* 4 &+ purpose) ^ UInt64(truncatingIfNeeded: serial))
        var digits: [UInt8] = []
        digits.reserveCapacity(byteCount * 2 + 4)
        for _ in 0..<byteCount / 8 {
            let word = random.next()
            for shift in stride(from: 60, through: 0, by: -4) {
                let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 15
                digits.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            }
        }
        return digits
    }
}
