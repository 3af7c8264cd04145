import Synchronization
import Wire
import WireTLS

/// Authorities that can be told from others, so that a verdict about a certificate can be kept.
struct NumberedAuthorities: Sendable {
    let authorities: TLSAuthorities
    let number: UInt64

    private static let last = Atomic<UInt64>(0)

    init(pem: [UInt8], source: String) throws(TLSError) {
        authorities = try TLSAuthorities(pem: pem, source: source)
        number = Self.last.add(1, ordering: .relaxed).newValue
    }

    func trust(_ identity: HTTPClientIdentity, now: UInt64) -> Bool {
        identity.isTrusted(by: number, now: now) { authorities.trusts(identity.certificate) }
    }
}

/// Authorities in a file, read again when that has changed. One that cannot be read leaves the last
/// good ones in place.
final class AuthorityFile: Sendable {
    private struct State: Sendable {
        var authorities: NumberedAuthorities
        var stamp: FileStamp?
        var lookedAt: UInt64
    }

    private let path: String
    private let state: Mutex<State>
    private let limited = LimitedDiagnostics(perMinute: 2)

    private static let byteLimit = 4 << 20
    private static let lookNanoseconds: UInt64 = 1_000_000_000

    /// - Throws: what is wrong with the file, in words.
    init(_ path: String, clock: Clock = .system) throws(TLSFilesError) {
        self.path = path
        let stamp = FileStamp(path)
        state = Mutex(
            State(
                authorities: try Self.read(path), stamp: stamp, lookedAt: clock.monotonicNanoseconds
            ))
    }

    func current(now: UInt64) -> NumberedAuthorities {
        state.withLock { state in
            guard now &- state.lookedAt >= Self.lookNanoseconds else { return state.authorities }
            state.lookedAt = now
            let stamp = FileStamp(path)
            guard stamp != state.stamp else { return state.authorities }
            do throws(TLSFilesError) {
                state.authorities = try Self.read(path)
                state.stamp = stamp
                Diagnostics.info("authorities were read again: \(path)")
            } catch {
                limited.warning("\(error); the authorities from before stay in use")
            }
            return state.authorities
        }
    }

    private static func read(_ path: String) throws(TLSFilesError) -> NumberedAuthorities {
        do {
            let pem = try SmallFile.read(path, byteLimit: byteLimit)
            return try NumberedAuthorities(pem: pem, source: path)
        } catch {
            throw TLSFilesError("\(error)")
        }
    }
}
