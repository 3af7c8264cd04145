import Wire

/// What deliveries need of the world, passed in so that tests can play it.
struct SinkEnvironment: Sendable {
    var clock: Clock
    var dialer: any SinkDialer
    /// The environment variables that some backends' credentials come from.
    var variable: @Sendable (String) -> String?

    init(
        clock: Clock = .system, dialer: any SinkDialer = TLSDialer(),
        variable: @escaping @Sendable (String) -> String? = { SinkURI.processEnvironment($0) }
    ) {
        self.clock = clock
        self.dialer = dialer
        self.variable = variable
    }
}

/// Where a backend listens.
struct SinkEndpoint: Sendable, Hashable {
    var address: HostAndPort
    /// `nil` for plain TCP.
    var tls: SinkTLS?

    /// The field `Host` of requests over HTTP: without the scheme's own port.
    var hostField: String {
        let isDefaultPort = address.port == (tls == nil ? 80 : 443)
        let bracketed = address.host.contains(":") ? "[\(address.host)]" : address.host
        return isDefaultPort ? bracketed : address.description
    }
}

/// What a TLS client needs to know. Files are read at each connection.
struct SinkTLS: Sendable, Hashable {
    /// Authorities to trust; `nil` for the system's.
    var authorityFile: String?
    var certificateFile: String?
    var keyFile: String?
    var skipsVerification = false
}

/// Makes byte streams to backends.
protocol SinkDialer: Sendable {
    /// Begins to connect to one resolved address. The caller establishes and closes the stream.
    func dial(
        _ endpoint: SinkEndpoint, resolved: SocketAddress
    ) throws(SinkError) -> any ByteStream
}
