import Wire

/// Who may ask the API.
struct APIFlags: Sendable {
    static let flags: [Flag] = [
        Flag(
            "insecure-http", "",
            "Serve the API over plain HTTP on addresses other than loopback.")
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine, address: SocketAddress) {
        if !address.isLoopback, !line.bool("insecure-http") {
            line.report(
                "--listen-ip=\(address.host) would serve the API unencrypted to other machines; "
                    + "give --insecure-http if the network is trusted")
        }
    }
}
