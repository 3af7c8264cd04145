import Wire

/// The API groups that are served, with what each has now: pushed metrics come and go.
struct APIGroups: Sendable {
    let custom: CustomMetrics

    /// A row of a discovery document.
    struct Resource {
        /// With `/METRIC` behind it where a metric is a subresource of the object.
        let name: String
        let isNamespaced: Bool
        let kind: StaticString
        let verbs: [StaticString]
    }

    struct Group {
        let name: String
        /// The preferred one first.
        let versions: [String]
        let resources: [Resource]
    }

    /// In the order of discovery.
    var all: [Group] { [resourceMetrics, customMetrics, externalMetrics] }

    func group(_ name: String) -> Group? { all.first { $0.name == name } }

    private var resourceMetrics: Group {
        Group(
            name: "metrics.k8s.io", versions: ["v1beta1"],
            resources: [
                Resource(
                    name: "nodes", isNamespaced: false, kind: "NodeMetrics",
                    verbs: ["get", "list"]),
                Resource(
                    name: "pods", isNamespaced: true, kind: "PodMetrics", verbs: ["get", "list"]),
            ])
    }

    private var customMetrics: Group {
        func rows(_ object: String, isNamespaced: Bool, _ names: Set<String>) -> [Resource] {
            names.sorted().map {
                Resource(
                    name: "\(object)/\($0)", isNamespaced: isNamespaced, kind: "MetricValueList",
                    verbs: ["get"])
            }
        }
        let rollUps = RollUps.metrics.map { Catalog.metric($0) }
        return Group(
            name: MetricItemWriter.group, versions: CustomMetricsAPI.versions,
            resources: rows(
                "namespaces", isNamespaced: false,
                names(rollUps).union(pushedNames(of: .namespaces)))
                + rows("nodes", isNamespaced: false, names(Self.metrics(of: .node)))
                + rows(
                    "pods", isNamespaced: true,
                    names(Self.metrics(of: [.pod, .container]))
                        .union(pushedNames(of: .pods))))
    }

    private var externalMetrics: Group {
        Group(
            name: ExternalMetricsAPI.group, versions: ["v1beta1"],
            resources: pushedNames(of: .withoutPod).sorted().map {
                Resource(
                    name: $0, isNamespaced: true, kind: "ExternalMetricValueList", verbs: ["get"])
            })
    }

    private func names(_ metrics: [Metric]) -> Set<String> {
        Set(metrics.map { MetricSpelling.withoutSlashes($0.name) })
    }

    /// A pushed metric that the model has one of has to be asked for with `custom_`.
    private func pushedNames(of scope: CustomMetrics.Scope) -> Set<String> {
        Set(
            custom.allNames(of: scope).map { name in
                let isTaken = scope == .pods && MetricSpelling.modelName(name) != nil
                return isTaken ? "custom_\(name)" : name
            })
    }

    /// Metrics of the objects themselves and of their parts: interfaces, filesystems, devices.
    private static func metrics(of kinds: SubjectKinds) -> [Metric] {
        let parts: SubjectKinds = [
            .networkInterface, .filesystem, .blockDevice, .accelerator, .hugePages,
        ]
        return Catalog.metrics.filter {
            $0.id != .readOffset && !$0.subjects.isDisjoint(with: kinds.union(parts))
        }
    }
}
