/// `/metrics/cadvisor` and `/metrics/resource`: what every kubelet would say, of all nodes in one
/// scrape and with the label `node`, as Prometheus text or OpenMetrics.
///
/// Nodes that are silent have no samples. Every sample has the time at which it was read, so a
/// scrape configuration must honor timestamps (`honor_timestamps`, which is Prometheus's default).
struct ExpositionAPI: Sendable {
    let index: ClusterIndex

    func register(in router: inout Router) {
        router.add(.get, "/metrics/cadvisor") { request in
            .now(answer(request, CadvisorFamilies.all, .cadvisor))
        }
        router.add(.get, "/metrics/resource") { request in
            .now(answer(request, ResourceFamilies.all, .resource))
        }
    }

    private func answer(
        _ request: HTTPRequest, _ families: [SeriesFamily], _ style: ExpositionThings.Style
    ) -> HTTPResponse {
        let format = ExpositionFormat(for: request)
        return HTTPResponse(
            .ok, contentType: format.contentType,
            body: .slowStream(ExpositionProducer(families, of: index, style, format)))
    }
}
