import Wire

/// How agents prove who they are.
enum AgentAuthentication: Sendable {
    /// Anyone who reaches the port is believed: loopback, or `--insecure-ingest`.
    case none
    /// All agents share a secret.
    case sharedToken([UInt8])

    /// Why this hello is refused; `nil` when it is not.
    func refusal(of hello: Hello) -> Farewell? {
        switch self {
        case .none: return nil
        case .sharedToken(let expected):
            guard case .sharedToken(let given) = hello.credential else {
                return Farewell(
                    .unauthenticated,
                    "the aggregator wants a token; give the agent --agent-token-file")
            }
            guard isEqualInConstantTime(Array(given.utf8), expected) else {
                return Farewell(
                    .unauthenticated,
                    "the agent's token is not the aggregator's; compare the two token files",
                    retryAfterMilliseconds: 30_000)
            }
            return nil
        }
    }
}

/// Takes as long for a wrong first byte as for a wrong last one; the length may be learnt.
func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in a.indices { difference |= a[index] ^ b[index] }
    return difference == 0
}
