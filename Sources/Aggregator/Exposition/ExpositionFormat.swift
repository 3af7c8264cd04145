/// The two text forms of a scrape.
enum ExpositionFormat: Sendable {
    /// Prometheus text 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
    case text
    /// OpenMetrics 1.0.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
    case openMetrics

    /// OpenMetrics for who prefers it, as Prometheus does; text for everybody else.
    init(for request: HTTPRequest) {
        let text = HTTPNegotiation.quality(of: "text/plain", in: request)
        let open = HTTPNegotiation.quality(of: "application/openmetrics-text", in: request)
        self = open > text ? .openMetrics : .text
    }

    var contentType: StaticString {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }
}
