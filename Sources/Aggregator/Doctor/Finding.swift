/// What became of one thing that `doctor` looked at.
struct Finding: Equatable, Sendable {
    enum Outcome: String, Sendable {
        case good = "ok"
        /// Works without, but something is missing.
        case warning = "warn"
        case fault = "FAIL"
        /// Not looked at, because something before it failed or it is not asked for.
        case skipped = "skip"
    }

    var outcome: Outcome
    /// What was looked at: `name resolution`, `list pods`.
    var subject: String
    /// What was found; for a fault what is wrong and the remedy, in the words of the log.
    var words: String

    init(_ outcome: Outcome, _ subject: String, _ words: String) {
        self.outcome = outcome
        self.subject = subject
        self.words = words
    }
}

extension Finding: CustomStringConvertible {
    /// One line.
    var description: String {
        let label = outcome.rawValue
        return label + String(repeating: " ", count: 6 - label.utf8.count) + "\(subject): \(words)"
    }
}
