/// Who asks, in Kubernetes' terms.
struct RequestUser: Sendable, Hashable {
    var name: String
    var uid = ""
    var groups: [String] = []
    /// Whatever else the authenticator knows; in the order of the keys.
    var extra: [Extra] = []

    struct Extra: Sendable, Hashable {
        var key: String
        var values: [String]
    }

    /// May do everything in every apiserver, and so here, even while that cannot be asked.
    static let allPowerfulGroup = "system:masters"
    /// Everybody who was recognised is in it; a certificate does not say so itself.
    static let authenticatedGroup = "system:authenticated"
}
