import Synchronization

/// How often who may ask was decided, and how. From any thread.
final class AccessCounters: Sendable {
    enum Event: Int, CaseIterable, Sendable {
        case allowed, unauthenticated, forbidden, unavailable, tooManyReviews
        case tokenReview, accessReview

        /// The label of its decision; `nil` for questions to the apiserver.
        var decision: String? {
            switch self {
            case .allowed: "allowed"
            case .unauthenticated: "unauthenticated"
            case .forbidden: "forbidden"
            case .unavailable: "unavailable"
            case .tooManyReviews: "too_many_reviews"
            case .tokenReview, .accessReview: nil
            }
        }
    }

    private let counts = Mutex([UInt64](repeating: 0, count: Event.allCases.count))

    func count(_ event: Event) { counts.withLock { $0[event.rawValue] += 1 } }

    subscript(event: Event) -> UInt64 { counts.withLock { $0[event.rawValue] } }

    func write(to text: inout PrometheusText) {
        let name = "heapwire_access_decisions_total"
        text.family(name, .counter, "Requests that had to identify themselves, by outcome")
        for event in Event.allCases {
            guard let decision = event.decision else { continue }
            text.sample(name, [("decision", decision)], Double(self[event]))
        }
        let reviews = "heapwire_access_reviews_total"
        text.family(reviews, .counter, "Questions to the apiserver about tokens and rights")
        text.sample(reviews, [("kind", "token")], Double(self[.tokenReview]))
        text.sample(reviews, [("kind", "access")], Double(self[.accessReview]))
    }
}
