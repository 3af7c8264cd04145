/// The types of the aggregated APIs, as a schema describes them. From them come OpenAPI 2 and 3, which
/// differ in where things stand only.
struct OpenAPISchema: Sendable {
    indirect enum Kind: Sendable {
        case string(format: StaticString?)
        case integer
        /// Another schema.
        case reference(String)
        case array(Kind)
        /// Keys to values.
        case map(Kind)
    }

    struct Field: Sendable {
        let name: StaticString
        let kind: Kind
        let help: StaticString
    }

    let name: String
    let help: StaticString
    /// Empty for a type that is a text itself.
    let fields: [Field]
    /// Group, version and kind of what can be asked for.
    var type: (group: String, version: String, kind: String)?

    static let resource = "io.k8s.metrics.pkg.apis.metrics.v1beta1"
    static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1"
    private static let quantity = Kind.reference("io.k8s.apimachinery.pkg.api.resource.Quantity")
    private static let time = Kind.reference("\(meta).Time")
    private static let text = Kind.string(format: nil)

    /// Types that all groups use.
    static let common: [OpenAPISchema] = [
        OpenAPISchema(
            name: "io.k8s.apimachinery.pkg.api.resource.Quantity",
            help: "A number with a suffix: 100m, 1.5Gi.", fields: []),
        OpenAPISchema(name: "\(meta).Time", help: "RFC 3339, in whole seconds.", fields: []),
        OpenAPISchema(name: "\(meta).Duration", help: "As Go prints it: 1m0s.", fields: []),
        OpenAPISchema(
            name: "\(meta).ListMeta", help: "Metadata of a list.",
            fields: [
                Field(name: "resourceVersion", kind: text, help: "Empty: lists have no version.")
            ]),
        OpenAPISchema(
            name: "\(meta).ObjectMeta", help: "Metadata of an object.",
            fields: [
                Field(name: "name", kind: text, help: "The object's name."),
                Field(name: "namespace", kind: text, help: "Of pods."),
                Field(name: "creationTimestamp", kind: time, help: "When it was asked for."),
                Field(name: "labels", kind: .map(text), help: "The object's labels."),
            ]),
    ]

    static let resourceMetrics: [OpenAPISchema] =
        [
            OpenAPISchema(
                name: "\(resource).ContainerMetrics", help: "What a container uses.",
                fields: [
                    Field(name: "name", kind: text, help: "As in pod.spec.containers."),
                    Field(name: "usage", kind: .map(quantity), help: "By resource: cpu, memory."),
                ])
        ] + metricsType("NodeMetrics", "usage", .map(quantity), "By resource: cpu, memory.")
        + metricsType(
            "PodMetrics", "containers", .array(.reference("\(resource).ContainerMetrics")),
            "Those of which something was read.")

    private static func metricsType(
        _ kind: String, _ field: StaticString, _ type: Kind, _ help: StaticString
    ) -> [OpenAPISchema] {
        [
            OpenAPISchema(
                name: "\(resource).\(kind)", help: "Current use of processors and memory.",
                fields: typeFields("ObjectMeta") + [
                    Field(name: "timestamp", kind: time, help: "When it was read."),
                    Field(
                        name: "window", kind: .reference("\(meta).Duration"),
                        help: "Over how long processor time was measured."),
                    Field(name: field, kind: type, help: help),
                ], type: ("metrics.k8s.io", "v1beta1", kind)),
            OpenAPISchema(
                name: "\(resource).\(kind)List", help: "A list.",
                fields: typeFields("ListMeta") + [
                    Field(
                        name: "items", kind: .array(.reference("\(resource).\(kind)")),
                        help: "In the order of their names.")
                ], type: ("metrics.k8s.io", "v1beta1", "\(kind)List")),
        ]
    }

    private static func typeFields(_ metadata: String) -> [Field] {
        [
            Field(name: "apiVersion", kind: text, help: "Group and version."),
            Field(name: "kind", kind: text, help: "The type's name."),
            Field(
                name: "metadata", kind: .reference("\(meta).\(metadata)"), help: "Its metadata."),
        ]
    }

    /// Of `custom.metrics.k8s.io` in a version, or `external.metrics.k8s.io`.
    static func values(_ group: String, _ version: String) -> [OpenAPISchema] {
        let isExternal = group == ExternalMetricsAPI.group
        let kind = isExternal ? "ExternalMetricValue" : "MetricValue"
        let folder =
            "io.k8s.metrics.pkg.apis.\(isExternal ? "external" : "custom")_metrics.\(version)"
        let selector = Kind.reference("\(meta).LabelSelector")
        var fields: [Field] = []
        switch (isExternal, version) {
        case (true, _):
            fields = [
                Field(name: "metricName", kind: text, help: "The metric's name."),
                Field(name: "metricLabels", kind: .map(text), help: "The series' labels."),
            ]
        case (false, "v1beta1"):
            fields = [
                Field(name: "metricName", kind: text, help: "The metric's name."),
                Field(name: "window", kind: .integer, help: "Of rates, seconds."),
                Field(name: "selector", kind: selector, help: "Of the metric's labels."),
            ]
        default:
            fields = [
                Field(
                    name: "metric", kind: .reference("\(folder).MetricIdentifier"),
                    help: "Name and selector."),
                Field(name: "windowSeconds", kind: .integer, help: "Of rates, seconds."),
            ]
        }
        fields += [
            Field(name: "timestamp", kind: time, help: "When it was read or pushed."),
            Field(name: "value", kind: quantity, help: "The value."),
        ]
        var found: [OpenAPISchema] = []
        if !isExternal {
            fields.append(
                Field(
                    name: "describedObject", kind: .reference("\(folder).DescribedObject"),
                    help: "Of what."))
            found = objectTypes(folder, selector)
        }
        return found + [
            OpenAPISchema(name: "\(folder).\(kind)", help: "A value.", fields: fields),
            OpenAPISchema(
                name: "\(folder).\(kind)List", help: "A list.",
                fields: typeFields("ListMeta") + [
                    Field(
                        name: "items", kind: .array(.reference("\(folder).\(kind)")),
                        help: "One for each object or series.")
                ], type: (group, version, "\(kind)List")),
        ]
    }

    private static func objectTypes(_ folder: String, _ selector: Kind) -> [OpenAPISchema] {
        [
            OpenAPISchema(
                name: "\(folder).DescribedObject", help: "The object that a value is of.",
                fields: [
                    Field(name: "kind", kind: text, help: "Pod, Node or Namespace."),
                    Field(name: "namespace", kind: text, help: "Of pods."),
                    Field(name: "name", kind: text, help: "Its name."),
                    Field(name: "apiVersion", kind: text, help: "v1."),
                ]),
            OpenAPISchema(
                name: "\(folder).MetricIdentifier", help: "Which metric.",
                fields: [
                    Field(name: "name", kind: text, help: "As it was asked for."),
                    Field(name: "selector", kind: selector, help: "Of the metric's labels."),
                ]),
            OpenAPISchema(
                name: "\(meta).LabelSelector", help: "A selector of labels.",
                fields: [Field(name: "matchLabels", kind: .map(text), help: "Equal labels.")]),
        ]
    }
}
