import Wire

extension SinkDefinition {
    /// cAdvisor's storage driver of that name: a line of JSON for each set, on standard output.
    static let stdout = SinkDefinition(
        "stdout", "every set as a line of JSON on standard output", []
    ) { (_, options) throws(SinkConfigurationError) in
        let encoder = SetJSONEncoder(
            clusterName: options.string("cluster_name", default: "default"))
        return SinkPlan(encoder: encoder, order: .oldestFirst, overwrites: true) { _ in
            DescriptorDelivery(1)
        }
    }
}
