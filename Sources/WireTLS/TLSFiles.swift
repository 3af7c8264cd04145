import Wire

/// Why certificate files cannot be used.
public struct TLSFilesError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// TLS settings that follow their files: certificates are renewed without a restart.
///
/// Each connection asks for the context; the files are looked at then, at most once a second. Files
/// that cannot be used, half of a renewal say, leave the last good context in place and a line in the
/// log.
public final class TLSFiles: @unchecked Sendable {
    /// Paths of PEM files.
    public struct Paths: Sendable, Equatable {
        /// Our certificate chain and its key; both or neither.
        public var certificate: String?
        public var key: String?
        /// Whose certificates are believed; for a client `nil` is the operating system's.
        public var authorities: String?

        public init(
            certificate: String? = nil, key: String? = nil, authorities: String? = nil
        ) {
            self.certificate = certificate
            self.key = key
            self.authorities = authorities
        }

        var all: [String] { [certificate, key, authorities].compactMap { $0 } }
    }

    public enum Role: Sendable, Equatable {
        case client
        /// With authorities, clients are asked for a certificate; must they have one?
        case server(requiresClient: Bool)
        /// Takes whatever certificate a client has; somebody else finds out what it is worth.
        case askingServer
    }

    private let paths: Paths
    private let role: Role
    private let minimum: TLSVersion
    private let clock: Clock
    private let lock = Lock()
    private var context: TLSContext
    private var stamps: [FileStamp?]
    private var lookedAt: UInt64
    private let limited = LimitedDiagnostics()

    private static let byteLimit = 4 << 20
    private static let lookNanoseconds: UInt64 = 1_000_000_000

    /// Reads the files.
    public init(
        _ paths: Paths, role: Role, minimum: TLSVersion = .tls12, clock: Clock = .system
    ) throws(TLSFilesError) {
        self.paths = paths
        self.role = role
        self.minimum = minimum
        self.clock = clock
        stamps = paths.all.map { FileStamp($0) }
        context = try Self.load(paths, role, minimum)
        lookedAt = clock.monotonicNanoseconds
    }

    /// The settings for the next connection.
    public func current() -> TLSContext {
        lock.withLock {
            let now = clock.monotonicNanoseconds
            guard now &- lookedAt >= Self.lookNanoseconds else { return context }
            lookedAt = now
            let seen = paths.all.map { FileStamp($0) }
            guard seen != stamps else { return context }
            do throws(TLSFilesError) {
                context = try Self.load(paths, role, minimum)
                stamps = seen
                Diagnostics.info(
                    "certificates were read again: \(paths.all.joined(separator: ", "))")
            } catch {
                limited.warning("\(error); the certificates from before stay in use")
            }
            return context
        }
    }

    private static func load(
        _ paths: Paths, _ role: Role, _ minimum: TLSVersion
    ) throws(TLSFilesError) -> TLSContext {
        do {
            var identity: TLSIdentity?
            if let certificate = paths.certificate, let key = paths.key {
                identity = TLSIdentity(
                    certificateChain: try SmallFile.read(certificate, byteLimit: byteLimit),
                    key: try SmallFile.read(key, byteLimit: byteLimit), source: certificate)
            }
            var trust: TLSTrust?
            if let path = paths.authorities {
                trust = .authorities(
                    try SmallFile.read(path, byteLimit: byteLimit), source: path)
            }
            switch role {
            case .client:
                return try TLSContext.client(
                    trust: trust ?? .system, identity: identity, minimum: minimum)
            case .askingServer:
                return try TLSContext.askingServer(
                    identity: try required(identity), minimum: minimum)
            case .server(let requiresClient):
                let identity = try required(identity)
                return try TLSContext.server(
                    identity: identity, clientTrust: trust, requiresClient: requiresClient,
                    minimum: minimum)
            }
        } catch let failure as TLSFilesError {
            throw failure
        } catch {
            throw TLSFilesError("\(error)")
        }
    }

    private static func required(_ identity: TLSIdentity?) throws(TLSFilesError) -> TLSIdentity {
        guard let identity else {
            throw TLSFilesError("a server needs a certificate and its key")
        }
        return identity
    }
}
