/// `/metrics/cadvisor` and `/metrics/resource`: what every kubelet would say, of all nodes in one
/// scrape and with the label `node`, as Prometheus text or OpenMetrics. `match[]` narrows it to the
/// series of its selectors, as for Prometheus's `/federate`, which is here too: both pages' series, of
/// those that are on both the former's, and those of `/metrics/custom`, what applications push.
///
/// Nodes that are silent have no samples. Every sample has the time at which it was read, so a
/// scrape configuration must honor timestamps (`honor_timestamps`, which is Prometheus's default).
struct ExpositionAPI: Sendable {
    let index: ClusterIndex
    let custom: CustomMetrics

    func register(in router: inout Router) {
        router.add(.get, "/metrics/cadvisor") { request in
            .now(answer(request, [(CadvisorFamilies.all, .cadvisor)]))
        }
        router.add(.get, "/metrics/resource") { request in
            .now(answer(request, [(ResourceFamilies.all, .resource)]))
        }
        router.add(.get, "/metrics/custom") { request in
            .now(answer(request, [], hasCustom: true))
        }
        router.add(.get, "/federate") { request in
            .now(answer(request, Self.federated, hasCustom: true, needsSelection: true))
        }
    }

    private typealias Part = (families: [SeriesFamily], style: ExpositionThings.Style)

    private static let federated: [Part] = {
        let names = Set(CadvisorFamilies.all.map(\.name))
        return [
            (CadvisorFamilies.all, .cadvisor),
            (ResourceFamilies.all.filter { !names.contains($0.name) }, .resource),
        ]
    }()

    private func answer(
        _ request: HTTPRequest, _ parts: [Part], hasCustom: Bool = false,
        needsSelection: Bool = false
    ) -> HTTPResponse {
        let selection: SeriesSelection?
        do throws(SeriesSelector.Invalid) {
            selection = try SeriesSelection(request)
        } catch {
            return .text(.badRequest, "invalid parameter \"match[]\": \(error.message)\n")
        }
        if needsSelection, selection == nil {
            return .text(
                .badRequest,
                "give one match[] at least, as in /federate?match[]={__name__=~\"container_.*\"}\n")
        }
        let format = ExpositionFormat(for: request)
        var producers: [any HTTPBodyProducer] = parts.enumerated().map { number, part in
            ExpositionProducer(
                part.families, of: index, part.style, format, selection,
                isLast: !hasCustom && number == parts.count - 1)
        }
        if hasCustom {
            // A family is in a text once: nobody gives a container's own figures another value.
            let taken = Set(parts.flatMap { $0.families.map(\.name) })
            producers.append(CustomExpositionProducer(custom, format, selection, without: taken))
        }
        return HTTPResponse(
            .ok, contentType: format.contentType, body: .slowStream(ProducerSequence(producers)))
    }
}

/// Producers one behind the other.
private final class ProducerSequence: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private var producers: ArraySlice<any HTTPBodyProducer>

    init(_ producers: [any HTTPBodyProducer]) { self.producers = producers[...] }

    func produce(into piece: inout [UInt8]) -> Bool {
        guard let first = producers.first else { return false }
        if !first.produce(into: &piece), !first.hasFailed { producers.removeFirst() }
        return !producers.isEmpty && !hasFailed
    }

    var hasFailed: Bool { producers.first?.hasFailed ?? false }
}
