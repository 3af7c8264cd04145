import Wire

extension SinkDefinition {
    /// Heapster's sink of the model API. The model is always there, so this does nothing.
    static let metric = SinkDefinition(
        "metric", "accepted for Heapster's sake: the model is always served", []
    ) { _, _ in nil }
}
