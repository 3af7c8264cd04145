import Wire

extension SinkDefinition {
    /// Heapster's log sink: the whole batch as text, on standard error.
    static let log = SinkDefinition("log", "every batch as text on standard error", []) { _, _ in
        SinkPlan(
            encoder: LogEncoder(), order: .oldestFirst, overwrites: true, clusterIsLabel: true
        ) { _ in
            DescriptorDelivery(2)
        }
    }
}
