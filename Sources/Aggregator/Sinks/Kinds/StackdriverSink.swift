import Wire

extension SinkDefinition {
    /// Google Cloud Monitoring, with the monitored resources of Kubernetes Engine.
    static let stackdriver = SinkDefinition(
        "stackdriver", "Google Cloud Monitoring, Kubernetes Engine's metrics",
        [
            SinkOption("use_old_resources", "true (default): gke_container"),
            SinkOption("use_new_resources", "true: k8s_container, k8s_pod, k8s_node"),
            SinkOption("min_interval_sec", "seconds between two batches that are sent"),
            SinkOption("batch_export_timeout_sec", "accepted: see timeout"),
            SinkOption("initial_delay_sec", "accepted: requests wait for nothing"),
            SinkOption("cluster_location", "where the cluster is"),
            SinkOption("zone", "where this runs"),
        ] + GoogleCredentials.options
    ) { (uri, options) throws(SinkConfigurationError) in
        var settings = StackdriverEncoder.Options()
        settings.usesOldResources = try options.boolean("use_old_resources", default: true)
        settings.usesNewResources = try options.boolean("use_new_resources", default: false)
        settings.clusterName = options.string("cluster_name", default: "")
        settings.zone = options.string("zone", default: "")
        settings.location = options.string("cluster_location", default: settings.zone)
        settings.intervalMilliseconds = try options.duration(
            "min_interval_sec", defaultMilliseconds: 0, bareSeconds: true)
        var backend = try GoogleBackend(
            options, kind: uri.kind, scope: "https://www.googleapis.com/auth/monitoring.write",
            server: "monitoring.googleapis.com"
        ) { "/v3/projects/\($0)/timeSeries" }
        backend.verdict = GoogleBackend.judgeTimeSeries
        // Cloud Monitoring refuses points older than the newest of a series.
        return SinkPlan(
            encoder: StackdriverEncoder(settings), order: .oldestFirst, overwrites: false,
            latePoints: .onlyInOrder
        ) { [backend] in HTTPDelivery(backend, [backend.endpoint], environment: $0) }
    }
}
