import Wire

/// Where applications push their metrics: `POST /api/v1/push/prometheus`, as Heapster had it, with a
/// text of Prometheus or OpenMetrics.
///
/// The labels `namespace`, `pod` and `container` say whose a value is; the others stay labels. A path
/// may give them for the whole text, `…/prometheus/namespace/shop/pod/web-0`, and then outranks the
/// text; a first segment without a pair is the pusher's own name. All of a text is kept or, where it
/// cannot be read, nothing.
struct PushAPI: Sendable {
    let custom: CustomMetrics
    let budget: PusherBudget
    let counters: PushCounters
    let clock: Clock
    /// How far back a text's own timestamps may lie, milliseconds.
    let window: Int64

    private static let prefix = "/api/v1/push/prometheus"
    /// A timestamp may be ahead of our clock by so much.
    private static let aheadMilliseconds: Int64 = 60_000

    func register(in router: inout Router) {
        router.add(.post, Self.prefix) { _ in .onWorker { push($0, path: "") } }
        router.add(.post, Self.prefix + "/{place...}") { _ in
            .onWorker { push($0, path: $0.parameter(0)) }
        }
    }

    /// Why a push is refused.
    private struct Refusal: Error {
        let status: HTTPStatus
        let message: String
        var retryAfterSeconds: Int?

        init(_ status: HTTPStatus, _ message: String, retryAfterSeconds: Int? = nil) {
            self.status = status
            self.message = message
            self.retryAfterSeconds = retryAfterSeconds
        }
    }

    private func push(_ request: HTTPRequest, path: String) -> HTTPResponse {
        do throws(Refusal) {
            let count = try keep(request, path)
            counters.pushes.add(1, ordering: .relaxed)
            counters.samples.add(count, ordering: .relaxed)
            return .json(Array("{\"samples\":\(count)}\n".utf8))
        } catch {
            counters.refusals.add(1, ordering: .relaxed)
            var response = HTTPResponse.text(error.status, error.message + "\n")
            if let seconds = error.retryAfterSeconds { response.retry(afterSeconds: seconds) }
            return response
        }
    }

    /// The number of samples that were kept.
    private func keep(_ request: HTTPRequest, _ path: String) throws(Refusal) -> Int {
        let pusher = request.client
        do throws(PusherBudget.Refusal) {
            try budget.takeRequest(of: pusher)
        } catch {
            throw Refusal(
                .tooManyRequests, error.reason, retryAfterSeconds: error.retryAfterSeconds)
        }
        if let coding = request.field("content-encoding"), coding != "identity" {
            throw Refusal(.unsupportedMediaType, "push the text as it is, not in \(coding)")
        }
        let place = try Self.place(path)
        let format = try format(request)
        let samples: [ExpositionSample]
        do throws(ExpositionError) {
            samples = try ExpositionParser.parse(request.body, format)
        } catch {
            throw Refusal(.badRequest, "\(error)")
        }
        do throws(PusherBudget.Refusal) {
            try budget.take(sampleCount: samples.count, of: pusher)
        } catch {
            throw Refusal(
                .tooManyRequests, error.reason, retryAfterSeconds: error.retryAfterSeconds)
        }
        return try keep(samples, place)
    }

    private func format(_ request: HTTPRequest) throws(Refusal) -> ExpositionParser.Format {
        guard let type = request.field("content-type") else { return .prometheus }
        let name = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
        switch name {
        case "text/plain", "", "application/x-www-form-urlencoded", "application/octet-stream":
            // What curl says of a body that it was not told about.
            return .prometheus
        case "application/openmetrics-text": return .openMetrics
        default:
            throw Refusal(
                .unsupportedMediaType,
                "push text/plain (Prometheus) or application/openmetrics-text, not \(name)")
        }
    }

    // MARK: Placing

    private static let keys = [
        "namespace": 0, "namespace_name": 0, "pod": 1, "pod_name": 1, "container": 2,
        "container_name": 2,
    ]

    /// What the path says of all samples: pairs of label and value behind the pusher's name.
    private static func place(_ path: String) throws(Refusal) -> [Label] {
        var parts = path.split(separator: "/").map(String.init)
        if parts.count % 2 == 1 { parts.removeFirst() }
        var found: [Label] = []
        for index in stride(from: 0, to: parts.count, by: 2) {
            guard !found.contains(where: { $0.key == parts[index] }), found.count < 16 else {
                throw Refusal(.badRequest, "the path gives the label \(parts[index]) twice")
            }
            found.append(Label(key: parts[index], value: parts[index + 1]))
        }
        return found
    }

    private func keep(
        _ samples: [ExpositionSample], _ place: [Label]
    ) throws(Refusal) -> Int {
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        var kept: [(CustomOwner, CustomMetrics.Sample, Int64)] = []
        kept.reserveCapacity(samples.count)
        for sample in samples where sample.value.isFinite {
            let time = sample.time ?? now
            guard time > now &- window, time <= now &+ Self.aheadMilliseconds else {
                throw Refusal(
                    .badRequest,
                    "\(sample.name): its timestamp is not within the last \(window / 1_000) s")
            }
            let (owner, labels) = try Self.split(sample, place)
            kept.append(
                (
                    owner,
                    CustomMetrics.Sample(
                        name: sample.name, labels: labels, value: sample.value,
                        isCounter: sample.isCounter), time
                ))
        }
        for (number, (owner, sample, time)) in kept.enumerated() {
            do throws(CustomMetrics.Refusal) {
                try custom.push(sample, of: owner, time: time)
            } catch {
                counters.samples.add(number, ordering: .relaxed)
                throw Refusal(
                    .unprocessableContent,
                    "\(error), \(number) of \(kept.count) samples were kept")
            }
        }
        return kept.count
    }

    /// Whose it is, and the labels that say no such thing.
    private static func split(
        _ sample: ExpositionSample, _ place: [Label]
    ) throws(Refusal) -> (CustomOwner, [String: String]) {
        var parts = ["", "", ""]
        var labels: [String: String] = [:]
        for label in sample.labels + place {
            if let part = keys[label.key] {
                parts[part] = label.value
            } else {
                labels[label.key] = label.value
            }
        }
        guard parts[1].isEmpty || !parts[0].isEmpty, parts[2].isEmpty || !parts[1].isEmpty else {
            throw Refusal(
                .badRequest,
                "\(sample.name): a container needs the label pod, a pod the label namespace")
        }
        return (CustomOwner(namespace: parts[0], pod: parts[1], container: parts[2]), labels)
    }
}

extension CustomMetrics.Refusal: CustomStringConvertible {
    var description: String {
        switch self {
        case .tooManySeries(let limit):
            "more than \(limit) pushed series in all (--push-max-series)"
        case .tooManySeriesOfPod(let limit):
            "more than \(limit) pushed series of one pod (--push-max-series-per-pod)"
        }
    }
}
