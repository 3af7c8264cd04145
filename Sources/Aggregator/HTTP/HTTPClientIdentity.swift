import Synchronization
import WireTLS

/// The certificate that a client presented, with what was found out about it, for as long as its
/// connection lasts: a check costs up to 200 µs, a request 10.
final class HTTPClientIdentity: Sendable {
    let certificate: TLSPeerCertificate

    private struct Verdict: Sendable {
        /// Which authorities were asked.
        let authorities: UInt64
        let isTrusted: Bool
        /// Monotonic nanoseconds.
        let until: UInt64
    }

    private let verdicts = Mutex<[Verdict]>([])
    private static let verdictCountMax = 4
    /// A certificate that expires is noticed after so long.
    private static let lifetime: UInt64 = 60_000_000_000

    init(_ certificate: TLSPeerCertificate) { self.certificate = certificate }

    /// What `find` said, or said within the last minute.
    ///
    /// - Parameter authorities: a number that no other set of authorities has.
    func isTrusted(by authorities: UInt64, now: UInt64, _ find: () -> Bool) -> Bool {
        let known = verdicts.withLock { verdicts in
            verdicts.first { $0.authorities == authorities && now < $0.until }
        }
        if let known { return known.isTrusted }
        let verdict = Verdict(
            authorities: authorities, isTrusted: find(), until: now &+ Self.lifetime)
        verdicts.withLock { verdicts in
            verdicts.removeAll { $0.authorities == authorities || now >= $0.until }
            if verdicts.count >= Self.verdictCountMax { verdicts.removeFirst() }
            verdicts.append(verdict)
        }
        return verdict.isTrusted
    }
}
