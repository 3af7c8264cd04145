import Wire
import WireTLS

/// Who may send frames, how, and how many.
struct IngestFlags: Sendable {
    var ingest = IngestConfiguration()
    var threads = 1

    static let flags: [Flag] = [
        Flag(
            "agent-token-file", "FILE",
            "A secret that agents must present (their --agent-token-file); at least 16 bytes."),
        Flag(
            "ingest-tls-cert", "FILE",
            "Takes frames over TLS 1.3 with this certificate chain (PEM). Read again when it changes."
        ),
        Flag("ingest-tls-key", "FILE", "The key of --ingest-tls-cert (PEM)."),
        Flag(
            "ingest-client-ca", "FILE",
            "Agents must present a certificate that these authorities signed; its common name is the "
                + "node's name, or system:node:NAME."),
        Flag(
            "insecure-ingest", "",
            "Take frames over plain TCP on addresses other than loopback."),
        Flag(
            "ingest-threads", "COUNT", default: "1", "Threads that take frames, 1 to 64."),
        Flag(
            "max-connections", "COUNT", default: "20000",
            "Connections to the ingest port that may be open at once."),
        Flag(
            "max-waiting-connections", "COUNT", default: "8192",
            "Those of them that have not shown yet that they are agents; of more, the one that has waited "
                + "longest is closed."),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine, address: SocketAddress, resolution: Int64) {
        ingest.connections =
            line.integer("max-connections", in: 1...1_000_000) ?? ingest.connections
        ingest.waiting =
            line.integer("max-waiting-connections", in: 1...1_000_000) ?? ingest.waiting
        ingest.silenceMilliseconds = max(30_000, 3 * UInt64(resolution))
        threads = line.integer("ingest-threads", in: 1...64) ?? 1
        if let path = line.text("agent-token-file") {
            do throws(SmallFileError) {
                ingest.authentication.token = try TokenFile(path)
            } catch {
                line.report("--agent-token-file: \(error)")
            }
        }
        readTLS(&line)
        if !address.isLoopback, ingest.tls == nil, !line.bool("insecure-ingest") {
            line.report(
                "--listen-ip=\(address.host) would take frames unencrypted from other "
                    + "machines; give --ingest-tls-cert and --ingest-tls-key, or --insecure-ingest if "
                    + "the network is trusted")
        }
    }

    private mutating func readTLS(_ line: inout CommandLine) {
        let paths = TLSFiles.Paths(
            certificate: line.text("ingest-tls-cert"), key: line.text("ingest-tls-key"),
            authorities: line.text("ingest-client-ca"))
        guard paths != TLSFiles.Paths() else { return }
        guard paths.certificate != nil, paths.key != nil else {
            return line.report(
                "TLS for agents needs both --ingest-tls-cert and --ingest-tls-key")
        }
        do throws(TLSFilesError) {
            ingest.authentication.requiresCertificate = paths.authorities != nil
            ingest.tls = try TLSFiles(
                paths, role: .server(requiresClient: paths.authorities != nil), minimum: .tls13)
        } catch {
            line.report("TLS for agents: \(error)")
        }
    }
}
