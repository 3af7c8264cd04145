import Synchronization

/// What was pushed since the start; any thread adds.
final class PushCounters: Sendable {
    /// Texts that were kept.
    let pushes = Atomic<Int>(0)
    let samples = Atomic<Int>(0)
    /// Texts that were refused, whole or in part.
    let refusals = Atomic<Int>(0)
}

extension PushCounters {
    /// For `/metrics`.
    func write(_ custom: CustomMetrics, _ text: inout PrometheusText) {
        text.single(
            "heapwire_push_requests_total", .counter, "Texts of pushed metrics that were kept",
            Double(pushes.load(ordering: .relaxed)))
        text.single(
            "heapwire_push_samples_total", .counter, "Pushed samples that were kept",
            Double(samples.load(ordering: .relaxed)))
        text.single(
            "heapwire_push_refused_requests_total", .counter,
            "Texts of pushed metrics that were refused, whole or in part",
            Double(refusals.load(ordering: .relaxed)))
        text.single(
            "heapwire_push_series", .gauge, "Pushed series within the history window",
            Double(custom.seriesCount))
    }
}

extension AggregatorAPI {
    /// The routes of pushed metrics, and of the groups that answer them and the model's.
    func registerPushed(in router: inout Router) {
        CustomMetricsAPI(
            values: CustomMetricValues(
                index: index, custom: custom, options: batchOptions, clock: clock)
        ).register(in: &router)
        ExternalMetricsAPI(custom: custom, clock: clock).register(in: &router)
        PushAPI(
            custom: custom, budget: PusherBudget(limits.push, clock: clock), counters: pushCounters,
            clock: clock, window: cluster.configuration.window
        ).register(in: &router)
    }
}
