import Wire

/// A family of a scrape and where its samples come from.
struct SeriesFamily: Sendable {
    let name: String
    let kind: ExpositionWriter.Kind
    let help: String
    let source: Source
    /// Which things have it.
    let targets: Targets
    /// Labels that all its samples, or all of one source, have: `cpu="total"`.
    var fixed: [Fixed] = []

    struct Targets: OptionSet, Sendable {
        let rawValue: UInt8
        static let node = Targets(rawValue: 1)
        static let system = Targets(rawValue: 2)
        static let pod = Targets(rawValue: 4)
        static let container = Targets(rawValue: 8)
        /// The pause container, which has a cgroup of its own.
        static let sandbox = Targets(rawValue: 16)
        static let all: Targets = [.node, .system, .pod, .container, .sandbox]
    }

    struct Fixed: Sendable {
        let name: StaticString
        let value: StaticString
    }

    static let reads = [Fixed(name: "operation", value: "Read")]
    static let writes = [Fixed(name: "operation", value: "Write")]

    /// How a value of the catalogue's unit becomes one of the family's.
    enum Scale: Sendable {
        case none
        /// Nanoseconds to seconds.
        case nanoseconds
        case milliseconds
        /// Nanoseconds to microseconds.
        case microseconds
        case thousandths
        /// -1, no limit, is 0 in cAdvisor's words.
        case limit
        case limitMicroseconds
    }

    struct MachineFigure {
        let labels: [ExpositionThings.Pair]
        let value: UInt64
    }

    enum Source: Sendable {
        case metric(MetricID, Scale)
        /// Several metrics, each with labels of its own.
        case metrics([(metric: MetricID, labels: [Fixed])])
        /// Of the parts of a thing: interfaces, filesystems, devices.
        case part(SubjectKind, MetricID, Scale)
        /// Reads and writes of block devices, by `operation`.
        case deviceUsage(read: MetricID, write: MetricID)
        /// When it started, seconds since the epoch.
        case startTime
        /// When it was read, seconds since the epoch.
        case readTime
        /// Of the machine, as its agent said in the hello.
        case machine(@Sendable (MachineFacts) -> UInt64)
        /// Of the machine's parts, each with labels of its own.
        case machineParts(@Sendable (MachineFacts) -> [MachineFigure])
        /// 1, with what the machine runs as labels.
        case versions
        /// 1 for a node that is silent, 0 for others.
        case silence
    }
}
