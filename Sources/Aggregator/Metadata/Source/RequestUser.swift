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

    /// The first value of a key of `extra`; empty where there is none.
    func value(ofExtra key: String) -> String { extra.first { $0.key == key }?.values.first ?? "" }

    /// May do everything in every apiserver, and so here, even while that cannot be asked.
    static let allPowerfulGroup = "system:masters"
    /// Everybody who was recognised is in it; a certificate does not say so itself.
    static let authenticatedGroup = "system:authenticated"
    static let unauthenticatedGroup = "system:unauthenticated"
    static let anonymous = "system:anonymous"

    /// Puts a recognised user into `system:authenticated`, unless it is said already whether it is.
    ///
    /// The front proxy does not say so of itself: it fetches `/openapi/v2` as `system:aggregator`, in no
    /// group. As k8s.io/apiserver does (`pkg/authentication/group`, `AuthenticatedGroupAdder`).
    mutating func addAuthenticatedGroup() {
        let isSaid = groups.contains {
            $0 == Self.authenticatedGroup || $0 == Self.unauthenticatedGroup
        }
        if !isSaid, name != Self.anonymous { groups.append(Self.authenticatedGroup) }
    }
}
