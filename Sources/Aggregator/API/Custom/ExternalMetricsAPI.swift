import Wire

/// `external.metrics.k8s.io/v1beta1`: pushed metrics that belong to no pod, one item for each series.
///
/// Those with a label `namespace` are found in that namespace only, those without in all.
/// Contract: `k8s.io/metrics/pkg/apis/external_metrics`.
struct ExternalMetricsAPI: Sendable {
    let custom: CustomMetrics
    let clock: Clock

    static let group = "external.metrics.k8s.io"
    private static let apiVersion = "\(group)/v1beta1"

    private struct Item {
        let labels: [(key: String, value: String)]
        let value: Quantity
        let time: Int64
    }

    func register(in router: inout Router) {
        let group = router.addGroup(RouteGroup(prefix: "/apis/\(Self.apiVersion)"))
        router.add(.get, "/namespaces/{namespace}/{metric...}", group: group) { _ in
            .onWorker { answer($0) }
        }
    }

    private func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard let format = KubernetesFormat(request, objects: false) else {
            return KubernetesStatus.notAcceptable
        }
        let selector: LabelSelector
        do throws(LabelSelector.Invalid) {
            selector = try LabelSelector(parsing: request.queryValue("labelSelector") ?? "")
        } catch {
            return KubernetesStatus.badRequest(error.message)
        }
        let metric = request.parameter(1)
        let items = items(metric, namespace: request.parameter(0), selector)
        guard format == .protobuf else { return .json(json(items, metric)) }
        return .protobuf(protobuf(items, metric))
    }

    private func items(
        _ metric: String, namespace: String, _ selector: LabelSelector
    ) -> [Item] {
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        let isPrefixed = metric.hasPrefix("custom/") || metric.hasPrefix("custom_")
        let name = isPrefixed ? String(metric.dropFirst(7)) : metric
        var found: [Item] = []
        for owner in Set([namespace, ""]) {
            let series = custom.currentSeries(
                name, of: CustomOwner(namespace: owner, pod: ""),
                oldest: now &- CustomMetrics.currentMilliseconds)
            for (labels, value, cycle) in series where selector.matches({ labels[$0] }) {
                guard let value = Quantity(value) else { continue }
                let sorted = labels.sorted { $0.key < $1.key }
                found.append(
                    Item(labels: sorted.map { ($0.key, $0.value) }, value: value, time: cycle))
            }
        }
        return found.sorted { a, b in
            a.labels.lexicographicallyPrecedes(b.labels) { ($0.key, $0.value) < ($1.key, $1.value) }
        }
    }

    private func json(_ items: [Item], _ metric: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string("ExternalMetricValueList")
        writer.key("apiVersion")
        writer.string(Self.apiVersion)
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("items")
        writer.beginArray()
        for item in items {
            writer.beginObject()
            writer.key("metricName")
            writer.string(metric)
            writer.key("metricLabels")
            writer.beginObject()
            for label in item.labels {
                writer.key(label.key)
                writer.string(label.value)
            }
            writer.endObject()
            writer.key("timestamp")
            writer.time(milliseconds: item.time / 1_000 * 1_000)
            writer.key("value")
            writer.string(item.value.canonical)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    private func protobuf(_ items: [Item], _ metric: String) -> [UInt8] {
        KubernetesProtobuf.envelope(
            apiVersion: Self.apiVersion, kind: "ExternalMetricValueList"
        ) { list in
            KubernetesProtobuf.appendListMeta(to: &list)
            for item in items {
                Protobuf.append(2, to: &list) { bytes in
                    Protobuf.append(1, string: metric, to: &bytes)
                    for label in item.labels {
                        Protobuf.append(
                            2, key: label.key, value: label.value, to: &bytes)
                    }
                    KubernetesProtobuf.append(3, time: item.time, to: &bytes)
                    KubernetesProtobuf.append(5, quantity: item.value.canonical, to: &bytes)
                }
            }
        }
    }
}
