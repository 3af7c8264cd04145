import WireTLS

/// Who may ask the API, as the flags say it.
struct AccessConfiguration: Sendable {
    /// Everybody who can connect may ask everything: plain HTTP on loopback or by --insecure-http, or
    /// --insecure-access.
    var isOpen = true
    /// --tls-client-ca, as Heapster's: its certificates may ask everything, or only those of
    /// `allowedUsers`.
    var clientAuthorities: AuthorityFile?
    /// Common names; empty: all.
    var allowedUsers: Set<String> = []
    /// --requestheader-…: overrides what the apiserver publishes.
    var frontProxy: FrontProxyFiles?
    /// Where tokens and rights are asked about.
    var apiserver: APIServerAccess?

    /// The front proxy by flags.
    struct FrontProxyFiles: Sendable {
        let authorities: AuthorityFile
        var allowedNames: [String] = []
        var fields = FrontProxy.Fields()

        func current(now: UInt64) -> FrontProxy {
            FrontProxy(
                authorities: authorities.current(now: now), allowedNames: allowedNames,
                fields: fields)
        }
    }
}
