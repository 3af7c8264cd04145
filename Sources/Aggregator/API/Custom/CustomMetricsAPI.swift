import Wire

/// `custom.metrics.k8s.io/v1beta2` and `v1beta1`: what a horizontal pod autoscaler scales on besides
/// processors and memory.
///
/// Contract: `k8s.io/metrics/pkg/apis/custom_metrics`, and the paths of its client.
struct CustomMetricsAPI: Sendable {
    let values: CustomMetricValues

    static let versions = ["v1beta2", "v1beta1"]

    func register(in router: inout Router) {
        for version in Self.versions {
            let group = router.addGroup(
                RouteGroup(prefix: "/apis/\(MetricItemWriter.group)/\(version)"))
            func add(
                _ pattern: String,
                _ body: @escaping @Sendable (HTTPRequest, Filter) -> Outcome
            ) {
                router.add(.get, pattern, group: group) { _ in
                    .onWorker { answer($0, version, body) }
                }
            }
            add("/namespaces/{namespace}/metrics/{metric...}") { request, filter in
                namespaces(request.parameter(0), filter.question(request.parameter(1)))
            }
            add("/namespaces/{namespace}/pods/{pod}/{metric...}") { request, filter in
                pods(
                    request.parameter(0), request.parameter(1),
                    filter.question(request.parameter(2)), filter)
            }
            add("/nodes/{node}/{metric...}") { request, filter in
                nodes(request.parameter(0), filter.question(request.parameter(1)), filter)
            }
            // Of other objects nothing is known; who asks is told in Kubernetes' words.
            add("/namespaces/{namespace}/{resource}/{name}/{metric...}") { request, _ in
                .missing(
                    metric: request.parameter(3), resource: request.parameter(1),
                    name: request.parameter(2))
            }
            add("/{resource}/{name}/{metric...}") { request, _ in
                .missing(
                    metric: request.parameter(2), resource: request.parameter(0),
                    name: request.parameter(1))
            }
        }
    }

    /// What a request is narrowed to.
    private struct Filter {
        let labels: LabelSelector
        let metricLabels: LabelSelector

        func question(_ metric: String) -> CustomMetricValues.Question {
            CustomMetricValues.Question(metric, metricLabels)
        }
    }

    private enum Outcome {
        case items([MetricItem])
        case missing(metric: String, resource: String, name: String)
    }

    private func answer(
        _ request: HTTPRequest, _ version: String, _ body: (HTTPRequest, Filter) -> Outcome
    ) -> HTTPResponse {
        guard let format = KubernetesFormat(request, objects: false) else {
            return KubernetesStatus.notAcceptable
        }
        let filter: Filter
        do throws(LabelSelector.Invalid) {
            filter = Filter(
                labels: try LabelSelector(parsing: request.queryValue("labelSelector") ?? ""),
                metricLabels: try LabelSelector(
                    parsing: request.queryValue("metricLabelSelector") ?? ""))
        } catch {
            return KubernetesStatus.badRequest(error.message)
        }
        switch body(request, filter) {
        case .missing(let metric, let resource, let name):
            return KubernetesStatus(
                status: .notFound, reason: "NotFound",
                message: "the server could not find the metric \(metric) for \(resource) \(name)",
                name: name, resource: resource, group: MetricItemWriter.group
            ).response
        case .items(let items):
            let writer = MetricItemWriter(version: version, selector: filter.metricLabels)
            guard format == .protobuf else { return .json(writer.json(items)) }
            return .protobuf(writer.protobuf(items))
        }
    }

    private func pods(
        _ namespace: String, _ name: String, _ question: CustomMetricValues.Question,
        _ filter: Filter
    ) -> Outcome {
        guard name == "*" else {
            return one(
                values.pods(question, in: namespace) { pod, _ in pod == name }, question, "pods",
                name)
        }
        return .items(values.pods(question, in: namespace) { filter.labels.matches($1) })
    }

    private func nodes(
        _ name: String, _ question: CustomMetricValues.Question, _ filter: Filter
    ) -> Outcome {
        guard name == "*" else {
            return one(values.nodes(question) { node, _ in node == name }, question, "nodes", name)
        }
        return .items(values.nodes(question) { filter.labels.matches($1) })
    }

    private func namespaces(_ name: String, _ question: CustomMetricValues.Question) -> Outcome {
        guard name == "*" else {
            return one(values.namespaces(question) { $0 == name }, question, "namespaces", name)
        }
        return .items(values.namespaces(question) { _ in true })
    }

    private func one(
        _ items: [MetricItem], _ question: CustomMetricValues.Question, _ resource: String,
        _ name: String
    ) -> Outcome {
        guard let first = items.first else {
            return .missing(metric: question.metric, resource: resource, name: name)
        }
        // A pod that moves is on two nodes for a moment.
        return .items([first])
    }
}
