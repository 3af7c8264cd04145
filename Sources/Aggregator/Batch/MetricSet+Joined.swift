import Wire

extension MetricSet {
    /// Adds what the newest frame says of a subject: its values and rates, the sums of its
    /// interfaces, and its other children labelled.
    mutating func add(_ subject: JoinedSubject, _ rows: LiveRows) {
        guard let row = rows.row(subject.slot) else { return }
        scrapeTime = subject.readTime(in: rows)
        collectionStartTime = subject.subject.startTimeMilliseconds
        for (metric, column) in subject.columns.columns {
            values.append(MetricSample(metric, MetricValue(row[column], of: metric)))
        }
        if subject.columns.column(of: .uptime) == nil, collectionStartTime > 0 {
            let uptime = max(0, scrapeTime &- collectionStartTime)
            values.append(MetricSample(.uptime, .integer(uptime)))
        }
        if let usage = subject.ephemeralStorage(in: rows) {
            values.append(MetricSample(.ephemeralStorageUsage, .integer(usage)))
        }
        addRates(of: subject, rows)
        for child in subject.children {
            if child.subject.kind == .networkInterface { continue }
            addLabeled(child, rows)
        }
        addInterfaces(of: subject, rows)
    }

    private mutating func addRates(of subject: JoinedSubject, _ rows: LiveRows) {
        for (metric, index) in subject.columns.rates {
            guard let rate = rows.rate(subject.slot, index) else { continue }
            values.append(MetricSample(metric, MetricValue(rate, of: metric)))
        }
    }

    private mutating func addLabeled(_ child: JoinedSubject, _ rows: LiveRows) {
        guard let row = rows.row(child.slot) else { return }
        let labels = child.childLabels
        for (metric, column) in child.columns.columns {
            labeledValues.append(
                LabeledSample(
                    metric: .catalogue(metric), labels: labels, value: .integer(row[column])))
        }
        for (metric, index) in child.columns.rates {
            guard let rate = rows.rate(child.slot, index) else { continue }
            labeledValues.append(
                LabeledSample(
                    metric: .catalogue(metric), labels: labels,
                    value: MetricValue(rate, of: metric)))
        }
    }

    /// Network figures of a node or pod are its interfaces' sums, where it has none itself.
    private mutating func addInterfaces(of subject: JoinedSubject, _ rows: LiveRows) {
        let ownCount = values.count
        for child in subject.children where child.subject.kind == .networkInterface {
            guard let row = rows.row(child.slot) else { continue }
            for (metric, column) in child.columns.columns {
                sum(metric, Double(row[column]), ownCount: ownCount)
            }
            for (metric, index) in child.columns.rates {
                guard let rate = rows.rate(child.slot, index) else { continue }
                sum(metric, rate, ownCount: ownCount)
            }
        }
    }

    private mutating func sum(_ metric: MetricID, _ value: Double, ownCount: Int) {
        let key = MetricKey.catalogue(metric)
        guard !values[..<ownCount].contains(where: { $0.metric == key }) else { return }
        if let place = values[ownCount...].firstIndex(where: { $0.metric == key }) {
            values[place].value = MetricValue(values[place].value.double + value, of: metric)
        } else {
            values.append(MetricSample(metric, MetricValue(value, of: metric)))
        }
    }

    /// Adds a pod's own files to the sum of its containers'.
    mutating func addEmptyDirectories(of pod: JoinedPod, _ rows: LiveRows) {
        let key = MetricKey.catalogue(.ephemeralStorageUsage)
        guard let place = values.firstIndex(where: { $0.metric == key }),
            case .integer(let sum) = values[place].value
        else { return }
        values[place].value = .integer(sum &+ pod.emptyDirectories(in: rows))
    }

    // MARK: What the apiserver says

    /// Requests and limits of a container, what is not given as 0, and its restarts where it was
    /// read, as in Heapster.
    mutating func addFigures(of container: Pod.Container) {
        let totals = ResourceTotals(container)
        let figures: [(MetricID, Int64)] = [
            (.cpuRequest, totals.cpuRequestMillicores), (.cpuLimit, totals.cpuLimitMillicores),
            (.memoryRequest, totals.memoryRequestBytes), (.memoryLimit, totals.memoryLimitBytes),
            (.ephemeralStorageRequest, totals.ephemeralStorageRequestBytes),
            (.ephemeralStorageLimit, totals.ephemeralStorageLimitBytes),
        ]
        for (metric, value) in figures { values.append(MetricSample(metric, .integer(value))) }
        if scrapeTime != 0 {
            values.append(MetricSample(.restartCount, .integer(totals.restartCount)))
        }
        for other in container.resources.requests.others {
            values.append(
                MetricSample(.named("\(other.name)/request", .gauge), .integer(other.value)))
        }
    }

    /// A node's capacity, requests and reservations, and what is used of the allocatable.
    mutating func addNodeFigures(_ figures: [MetricID: Double]) {
        for (metric, value) in figures {
            values.append(MetricSample(metric, MetricValue(value, of: metric)))
        }
        for ratio in ModelReader.ratios {
            guard let allocatable = figures[ratio.allocatable], allocatable > 0,
                let usage = value(ratio.usage)
            else { continue }
            values.append(MetricSample(ratio.metric, .float(usage.double / allocatable)))
        }
    }

    /// Puts values in the order of the catalogue, names that are not in it behind.
    mutating func sort() {
        // Runs that are in order already, one behind the other: insertion moves little.
        values.withUnsafeMutableBufferPointer { values in
            guard let base = values.baseAddress, values.count > 1 else { return }
            for end in 1..<values.count where base[end].precedes(base[end - 1]) {
                var place = end - 1
                while place > 0, base[end].precedes(base[place - 1]) { place -= 1 }
                let sample = (base + end).move()
                (base + place + 1).moveInitialize(from: base + place, count: end - place)
                (base + place).initialize(to: sample)
            }
        }
    }
}

extension MetricSample {
    fileprivate func precedes(_ other: MetricSample) -> Bool {
        switch (metric, other.metric) {
        case (.catalogue(let a), .catalogue(let b)): a.rawValue < b.rawValue
        case (.catalogue, .named): true
        case (.named, .catalogue): false
        case (.named(let a, _), .named(let b, _)): a < b
        }
    }
}
