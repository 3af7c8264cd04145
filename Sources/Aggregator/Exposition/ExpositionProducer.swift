import Wire

/// A scrape, family by family and in each node by node: the text format wants a family in one piece.
///
/// A node's lock is held while its samples of one family are written. Each sample has the time at
/// which its thing was read, so it does not matter that a node may go on between two families.
final class ExpositionProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let index: ClusterIndex
    private let families: [SeriesFamily]
    private let style: ExpositionThings.Style
    private var nodes: [JoinedNode]
    /// By the place of the node; only as many as `keptBytesMax` allows, others are made again.
    private var kept: [ExpositionThings?]
    private var keptBytes = 0
    private var family = 0
    private var node = 0
    private var hasBegun = false
    private var writer: ExpositionWriter
    private let selection: SeriesSelection?
    /// The selectors that take the present family.
    private var mask = SeriesSelection.everything
    private var steps = 0
    private let isLast: Bool

    private static let pieceBytes = 32_768
    /// Nodes that are looked at for a piece, however little that brings.
    private static let pieceNodes = 1_000
    /// Of labels that are kept from one family to the next, for a scrape: 20,000 containers or so.
    private static let keptBytesMax = 16 << 20

    /// - Parameter isLast: whether the text ends behind it; else other families follow.
    init(
        _ families: [SeriesFamily], of index: ClusterIndex, _ style: ExpositionThings.Style,
        _ format: ExpositionFormat, _ selection: SeriesSelection? = nil, isLast: Bool = true
    ) {
        var steps = 0
        self.families =
            selection.map { selection in
                families.filter { selection.mask(name: $0.name, steps: &steps) != 0 }
            } ?? families
        self.steps = steps
        self.selection = selection
        self.isLast = isLast
        self.index = index
        self.style = style
        nodes = index.nodes()
        kept = Array(repeating: nil, count: nodes.count)
        writer = ExpositionWriter(format)
    }

    func produce(into piece: inout [UInt8]) -> Bool {
        swap(&piece, &writer.bytes)
        defer { swap(&piece, &writer.bytes) }
        let end = writer.bytes.count + Self.pieceBytes
        var left = Self.pieceNodes
        while family < families.count {
            let current = families[family]
            if node == 0, let selection {
                mask = selection.mask(name: current.name, steps: &steps)
            }
            if case .silence = current.source { writeSilence(current) }
            while node < nodes.count {
                guard writer.bytes.count < end, left > 0 else { return true }
                if hasFailed { return false }
                write(current, node)
                node += 1
                left -= 1
            }
            family += 1
            node = 0
            hasBegun = false
        }
        if isLast, writer.format == .openMetrics { writer.append("# EOF\n") }
        return false
    }

    /// The selection's regular expressions cost more than one request may.
    var hasFailed: Bool { steps > SeriesSelection.stepCountMax }

    /// Whether a selector takes a sample of a thing that `mask` takes.
    private func isWanted(
        _ mask: SeriesSelection.Mask, _ pairs: [ExpositionThings.Pair],
        _ fixed: [SeriesFamily.Fixed] = []
    ) -> Bool {
        let both = mask & self.mask
        guard both != 0, let selection else { return both != 0 }
        return selection.mask(both, inner: pairs, fixed, steps: &steps) != 0
    }

    /// 1 for each node that has told of itself and is silent now.
    private func writeSilence(_ family: SeriesFamily) {
        let horizon = index.horizon
        for model in index.cluster.nodes.sorted(by: { $0.name < $1.name }) {
            let taken = selection?.mask(outer: [("node", model.name)], steps: &steps)
            guard isWanted(taken ?? SeriesSelection.everything, []) else { continue }
            beginIfNeeded(family)
            writer.append(family.name)
            writer.append("{node=\"")
            writer.appendEscaped(model.name)
            writer.append(model.lastStep >= horizon ? "\"} 0\n" : "\"} 1\n")
        }
        node = nodes.count
    }

    private func write(_ family: SeriesFamily, _ place: Int) {
        let known = kept[place] ?? make(nodes[place])
        var things = known
        _ = index.read(known.node) { joined, rows in
            if joined !== things.node { things = make(joined) }
            write(family, things, rows)
        }
        if let old = kept[place] {
            guard old.node !== things.node else { return }
            keptBytes -= old.byteCount
        }
        nodes[place] = things.node
        let isKept = keptBytes + things.byteCount <= Self.keptBytesMax
        kept[place] = isKept ? things : nil
        if isKept { keptBytes += things.byteCount }
    }

    private func make(_ node: JoinedNode) -> ExpositionThings {
        let things = ExpositionThings(node, style, selection)
        steps &+= things.steps
        return things
    }

    private func beginIfNeeded(_ family: SeriesFamily) {
        if hasBegun { return }
        hasBegun = true
        writer.begin(family.name, family.kind, family.help)
    }

    // MARK: Samples of one node, under its lock

    private func write(_ family: SeriesFamily, _ things: ExpositionThings, _ rows: LiveRows) {
        switch family.source {
        case .machine(let figure):
            let value = Int64(clamping: figure(things.node.machine))
            guard value > 0, isWanted(things.machineMask, []) else { return }
            begin(family, things.machineLabels, [], [])
            writer.append(value)
            endSample(rows.readTime)
        case .machineParts(let figures): writeParts(family, figures, things, rows)
        case .versions: writeVersions(family, things, rows)
        default:
            for thing in things.things
            where family.targets.contains(thing.target) && thing.mask & mask != 0 {
                write(family, thing, rows)
            }
        }
    }

    private func write(
        _ family: SeriesFamily, _ thing: ExpositionThings.Exposed, _ rows: LiveRows
    ) {
        let subject = thing.subject
        switch family.source {
        case .metric(let metric, let scale):
            write(family, thing, subject, metric, scale, nil, family.fixed, rows)
        case .metrics(let metrics):
            for (metric, labels) in metrics {
                write(family, thing, subject, metric, .none, nil, labels, rows)
            }
        case .part(let kind, let metric, let scale):
            for part in thing.parts where part.subject.subject.kind == kind {
                write(family, thing, part.subject, metric, scale, part, [], rows)
            }
        case .deviceUsage(let read, let written):
            for part in thing.parts where part.subject.subject.kind == .blockDevice {
                for (metric, labels) in [
                    (read, SeriesFamily.reads), (written, SeriesFamily.writes),
                ] {
                    write(family, thing, part.subject, metric, .none, part, labels, rows)
                }
            }
        case .startTime:
            let start = subject.subject.startTimeMilliseconds
            guard start > 0, rows.row(subject.slot) != nil, isWanted(thing.mask, []) else {
                return
            }
            begin(family, thing.labels, [], [])
            writer.append(start, decimals: 3)
            endSample(subject.readTime(in: rows))
        case .readTime:
            guard rows.row(subject.slot) != nil, isWanted(thing.mask, []) else { return }
            begin(family, thing.labels, [], [])
            writer.append(subject.readTime(in: rows), decimals: 3)
            endSample(subject.readTime(in: rows))
        case .machine, .machineParts, .versions, .silence: return
        }
    }

    private func write(
        _ family: SeriesFamily, _ thing: ExpositionThings.Exposed, _ subject: JoinedSubject,
        _ metric: MetricID, _ scale: SeriesFamily.Scale, _ part: ExpositionThings.Part?,
        _ fixed: [SeriesFamily.Fixed], _ rows: LiveRows
    ) {
        guard let value = subject.value(metric, in: rows),
            isWanted(thing.mask, part?.pairs ?? [], fixed)
        else { return }
        begin(family, thing.labels, part?.labels ?? [], fixed)
        switch scale {
        case .none: writer.append(value)
        case .nanoseconds: writer.append(value, decimals: 9)
        case .milliseconds, .microseconds, .thousandths: writer.append(value, decimals: 3)
        case .limit: writer.append(max(0, value))
        case .limitMicroseconds: writer.append(max(0, value), decimals: 3)
        }
        endSample(subject.readTime(in: rows))
    }

    private func writeParts(
        _ family: SeriesFamily, _ figures: (MachineFacts) -> [SeriesFamily.MachineFigure],
        _ things: ExpositionThings, _ rows: LiveRows
    ) {
        for figure in figures(things.node.machine)
        where isWanted(things.machineMask, figure.labels) {
            begin(family, things.machineLabels, ExpositionThings.labels(figure.labels), [])
            writer.append(Int64(clamping: figure.value))
            endSample(rows.readTime)
        }
    }

    private func writeVersions(
        _ family: SeriesFamily, _ things: ExpositionThings, _ rows: LiveRows
    ) {
        let machine = things.node.machine
        guard !machine.kernelVersion.isEmpty,
            isWanted(
                things.machineMask,
                [
                    ("kernelVersion", machine.kernelVersion),
                    ("osVersion", machine.operatingSystem),
                ])
        else { return }
        beginIfNeeded(family)
        writer.append(family.name)
        writer.append("{")
        writer.bytes += things.machineLabels
        writer.append(",kernelVersion=\"")
        writer.appendEscaped(machine.kernelVersion)
        writer.append("\",osVersion=\"")
        writer.appendEscaped(machine.operatingSystem)
        writer.append("\"} 1")
        writer.endSample(milliseconds: rows.readTime)
    }

    /// Everything in front of a sample's value.
    private func begin(
        _ family: SeriesFamily, _ labels: [UInt8], _ more: [UInt8], _ fixed: [SeriesFamily.Fixed]
    ) {
        beginIfNeeded(family)
        writer.append(family.name)
        writer.append("{")
        writer.bytes += labels
        writer.bytes += more
        for label in fixed {
            writer.append(",")
            writer.append(label.name)
            writer.append("=\"")
            writer.append(label.value)
            writer.append("\"")
        }
        writer.append("} ")
    }

    private func endSample(_ milliseconds: Int64) { writer.endSample(milliseconds: milliseconds) }
}
