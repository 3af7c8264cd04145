import Wire

/// Lets many threads append what belongs together, and one close the batch between two such groups:
/// a frame and what it adds to the roll-ups are in the same batch or in none.
///
/// A lock per stripe of nodes, all of which the closing side takes.
final class LogGate: Sendable {
    private let stripes: [Lock]

    init(stripes count: Int = 32) {
        stripes = (0..<count).map { _ in Lock() }
    }

    /// The lock to be held while a node's records are appended.
    func stripe(_ number: UInt32) -> Lock { stripes[Int(number) % stripes.count] }

    /// Runs `body` while nobody appends.
    func close<Result>(_ body: () -> Result) -> Result { close(from: 0, body) }

    private func close<Result>(from index: Int, _ body: () -> Result) -> Result {
        guard index < stripes.count else { return body() }
        return stripes[index].withLock { close(from: index + 1, body) }
    }
}
