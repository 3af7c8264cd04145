/// The series that a request with `match[]` wants: those that any of its selectors takes.
///
/// Labels are looked at in two steps. Most belong to a thing (a node, a pod, a container) and are
/// decided once for it; those within it (`interface`, `device`, `cpu`) for each sample.
struct SeriesSelection: Sendable {
    /// Selectors by number, one bit each.
    typealias Mask = UInt64

    static let countMax = 64
    static let everything = Mask.max
    /// Steps of regular expressions that a request may cost: some ten seconds of one core.
    static let stepCountMax = 2_000_000_000

    /// Labels that samples of one thing differ in.
    private static let innerLabels: Set<String> = [
        "cpu", "device", "failure_type", "interface", "kernelVersion", "major", "minor",
        "operation",
        "osVersion", "pagesize", "scope",
    ]

    private struct Selector {
        var names: [SeriesSelector.Matcher] = []
        var outer: [SeriesSelector.Matcher] = []
        var inner: [SeriesSelector.Matcher] = []
    }

    private let selectors: [Selector]

    init(_ selectors: [SeriesSelector]) {
        precondition(selectors.count <= Self.countMax)
        self.selectors = selectors.map { selector in
            var found = Selector()
            for matcher in selector.matchers {
                if matcher.label == SeriesSelector.nameLabel {
                    found.names.append(matcher)
                } else if Self.innerLabels.contains(matcher.label) {
                    found.inner.append(matcher)
                } else {
                    found.outer.append(matcher)
                }
            }
            return found
        }
    }

    /// Reads `match[]`; `nil` where the request has none.
    ///
    /// - Throws: what is wrong, in words for the client.
    init?(_ request: HTTPRequest) throws(SeriesSelector.Invalid) {
        let texts = request.queryValues("match[]")
        guard !texts.isEmpty else { return nil }
        guard texts.count <= Self.countMax else {
            throw SeriesSelector.Invalid(
                message: "there are more than \(Self.countMax) of them; join some with =~")
        }
        var selectors: [SeriesSelector] = []
        for text in texts { selectors.append(try SeriesSelector(text)) }
        self.init(selectors)
    }

    /// The selectors that take metrics of this name.
    func mask(name: String, steps: inout Int) -> Mask {
        mask(of: { $0.names }, Self.everything, steps: &steps, value: { _ in name })
    }

    /// Those that take a thing with these labels.
    func mask(
        outer labels: [(name: StaticString, value: String)], steps: inout Int
    ) -> Mask {
        mask(
            of: { $0.outer }, Self.everything, steps: &steps, value: { Self.value($0, labels) })
    }

    /// Those of `mask` that also take these labels within the thing.
    func mask(
        _ mask: Mask, inner labels: [(name: StaticString, value: String)],
        _ fixed: [SeriesFamily.Fixed], steps: inout Int
    ) -> Mask {
        self.mask(
            of: { $0.inner }, mask, steps: &steps,
            value: { label in
                let value = Self.value(label, labels)
                guard value.isEmpty else { return value }
                return fixed.first { $0.name.description == label }?.value.description ?? ""
            })
    }

    /// Whether any takes a series with these labels, all of them at once.
    func takes(name: String, _ labels: [String: String], steps: inout Int) -> Bool {
        selectors.contains { selector in
            selector.names.allSatisfy { $0.matches(name, steps: &steps) }
                && (selector.outer + selector.inner).allSatisfy {
                    $0.matches(labels[$0.label] ?? "", steps: &steps)
                }
        }
    }

    private static func value(
        _ label: String, _ labels: [(name: StaticString, value: String)]
    ) -> String { labels.first { $0.name.description == label }?.value ?? "" }

    private func mask(
        of part: (Selector) -> [SeriesSelector.Matcher], _ mask: Mask, steps: inout Int,
        value: (String) -> String
    ) -> Mask {
        var found: Mask = 0
        for (number, selector) in selectors.enumerated() where mask >> Mask(number) & 1 != 0 {
            let isTaken = part(selector).allSatisfy {
                $0.matches(value($0.label), steps: &steps)
            }
            if isTaken { found |= 1 << Mask(number) }
        }
        return found
    }
}
