import Wire

/// The addresses of the API and of the agents' port.
struct ListenFlags: Sendable {
    var api = SocketAddress.loopback(port: 8_082)
    var ingest = SocketAddress.loopback(port: 8_090)
    /// Heapster's own paths over plain HTTP beside an API over TLS; `nil` for none.
    var plain: SocketAddress?

    static let flags: [Flag] = [
        Flag(
            "port", "PORT", default: "8082", aliases: ["heapster-port"],
            "TCP port of the API. 0 lets the kernel choose; the log says which."),
        Flag(
            "listen-ip", "IP", default: "127.0.0.1",
            "Address on which API and ingest listen."),
        Flag(
            "ingest-port", "PORT", default: "8090",
            "TCP port that takes frames from agents. 0 lets the kernel choose."),
        Flag(
            "plain-port", "PORT",
            "A second port that answers what Heapster answered, reading only, over plain HTTP and to "
                + "everybody: for clients that can do no better. Needs --tls-cert. 0 lets the kernel "
                + "choose."),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        let host = line.text("listen-ip") ?? "127.0.0.1"
        let apiPort = line.integer("port", in: 0...65_535) ?? 8_082
        let ingestPort = line.integer("ingest-port", in: 0...65_535) ?? 8_090
        if apiPort == ingestPort, apiPort != 0 {
            line.report("--port and --ingest-port are both \(apiPort); choose two ports")
        }
        readPlain(&line, host, used: [apiPort, ingestPort])
        if let api = SocketAddress(numericHost: host, port: UInt16(apiPort)),
            let ingest = SocketAddress(numericHost: host, port: UInt16(ingestPort))
        {
            (self.api, self.ingest) = (api, ingest)
        } else {
            line.report("--listen-ip=\(host) is not an IP address; write 127.0.0.1, 0.0.0.0 or ::")
        }
    }

    private mutating func readPlain(_ line: inout CommandLine, _ host: String, used: [Int]) {
        guard line.isGiven("plain-port"), let port = line.integer("plain-port", in: 0...65_535)
        else { return }
        if !line.isGiven("tls-cert") {
            line.report("--plain-port is for beside TLS; give --tls-cert, or leave it out")
        }
        if port != 0, used.contains(port) {
            line.report("--plain-port=\(port) is another port's; choose one of its own")
        }
        plain = SocketAddress(numericHost: host, port: UInt16(port))
    }
}
