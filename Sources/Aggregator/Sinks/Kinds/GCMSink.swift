import Wire

extension SinkDefinition {
    /// Google Cloud Monitoring, custom metrics.
    static let gcm = SinkDefinition(
        "gcm", "Google Cloud Monitoring, custom metrics",
        [SinkOption("metrics", "all (default) or autoscaling")] + GoogleCredentials.options
    ) { (uri, options) throws(SinkConfigurationError) in
        let metrics = try options.choice("metrics", default: "all", of: ["all", "autoscaling"])
        var backend = try GoogleBackend(
            options, kind: uri.kind, scope: "https://www.googleapis.com/auth/monitoring",
            server: "monitoring.googleapis.com"
        ) { "/v3/projects/\($0)/timeSeries" }
        backend.verdict = GoogleBackend.judgeTimeSeries
        return SinkPlan(
            encoder: GCMEncoder(onlyAutoscaling: metrics == "autoscaling"), order: .oldestFirst,
            overwrites: false, latePoints: .onlyInOrder, clusterIsLabel: true
        ) { [backend] in HTTPDelivery(backend, [backend.endpoint], environment: $0) }
    }
}
