import Wire

/// What applications pushed and is current, under the names that they gave it, with the labels of
/// its owner (`namespace`, `pod`, `container`) and its own. Each sample has the time of its cycle.
///
/// It ends the text: nothing may follow.
final class CustomExpositionProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let custom: CustomMetrics
    private let selection: SeriesSelection?
    private let taken: Set<String>
    private var writer: ExpositionWriter
    /// Sorted by names; `nil` before the first piece.
    private var series: [CustomMetrics.Current]?
    private var names: Set<String> = []
    private var next = 0
    private var steps = 0

    private static let pieceBytes = 32_768

    /// - Parameter taken: names of families that are in the text already.
    init(
        _ custom: CustomMetrics, _ format: ExpositionFormat, _ selection: SeriesSelection?,
        without taken: Set<String>
    ) {
        self.custom = custom
        self.selection = selection
        self.taken = taken
        writer = ExpositionWriter(format)
    }

    /// The selection's regular expressions cost more than one request may.
    var hasFailed: Bool { steps > SeriesSelection.stepCountMax }

    func produce(into piece: inout [UInt8]) -> Bool {
        swap(&piece, &writer.bytes)
        defer { swap(&piece, &writer.bytes) }
        let series = series ?? begin()
        let end = writer.bytes.count + Self.pieceBytes
        while next < series.count {
            guard writer.bytes.count < end else { return true }
            if next == 0 || series[next - 1].name != series[next].name {
                beginFamily(series[next].name, at: next, in: series)
            }
            write(series[next])
            next += 1
        }
        if writer.format == .openMetrics { writer.append("# EOF\n") }
        return false
    }

    private func begin() -> [CustomMetrics.Current] {
        var found = custom.current()
        names = Set(found.map(\.name))
        found.removeAll { series in
            if hasFailed || taken.contains(series.name) { return true }
            guard let selection else { return false }
            return !selection.takes(name: series.name, Self.labels(series), steps: &steps)
        }
        found.sort {
            ($0.name, $0.owner.namespace, $0.owner.pod, $0.owner.container)
                < ($1.name, $1.owner.namespace, $1.owner.pod, $1.owner.container)
        }
        series = found
        return found
    }

    private func beginFamily(_ name: String, at index: Int, in series: [CustomMetrics.Current]) {
        let own = series[index...].prefix { $0.name == name }
        var kind = ExpositionWriter.Kind.unknown
        if own.allSatisfy(\.isCounter) { kind = .counter }
        if !own.contains(where: \.isCounter) { kind = .gauge }
        // In OpenMetrics a counter's family is its name without the ending, which may be another's.
        if name.hasSuffix("_total"), names.contains(String(name.dropLast(6))) { kind = .unknown }
        writer.begin(name, kind, "Pushed by applications.")
    }

    /// Those of the owner outrank its own.
    private static func labels(_ series: CustomMetrics.Current) -> [String: String] {
        var labels = series.labels
        labels["namespace"] = series.owner.namespace
        labels["pod"] = series.owner.pod
        labels["container"] = series.owner.container
        return labels.filter { !$0.value.isEmpty }
    }

    private func write(_ series: CustomMetrics.Current) {
        writer.append(series.name)
        let labels = Self.labels(series).sorted { $0.key < $1.key }
        if !labels.isEmpty {
            for (index, label) in labels.enumerated() {
                writer.append(index == 0 ? "{" : ",")
                writer.append(label.key)
                writer.append("=\"")
                writer.appendEscaped(label.value)
                writer.append("\"")
            }
            writer.append("}")
        }
        writer.append(" ")
        writer.append(PrometheusText.number(series.value))
        writer.endSample(milliseconds: series.time)
    }
}
