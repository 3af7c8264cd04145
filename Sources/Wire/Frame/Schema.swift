/// One column of a schema.
public struct SchemaField: Sendable, Hashable {
    /// A catalogue number. A peer with an older catalogue keeps and forwards numbers it does not know.
    public var metric: UInt16
    /// Every value of this field is a multiple of it: 4,096 for pages, 10,000,000 for clock ticks in
    /// nanoseconds. A value that is not costs more bytes; it is never wrong.
    public var granularity: UInt32
    /// The value seldom becomes less. Where it does, that costs more bytes.
    public var isCounter: Bool

    public init(metric: UInt16, granularity: UInt32 = 1, isCounter: Bool = false) {
        self.metric = metric
        self.granularity = granularity
        self.isCounter = isCounter
    }

    /// A field of the catalogue, which says whether it is a counter.
    public init(_ metric: MetricID, granularity: UInt32 = 1) {
        self.init(
            metric: metric.rawValue, granularity: granularity,
            isCounter: Catalog.metric(metric).kind == .counter)
    }
}

/// What the encoder and the decoder expect of a column, given columns before it. An expectation that
/// does not come true costs bytes; it never makes a value wrong.
public struct Prediction: Sendable, Hashable {
    /// The column that is predicted.
    public var column: Int
    public var source: Source

    public enum Source: Sendable, Hashable {
        /// Its differences are the weighted sum of other columns' differences, all counted in units
        /// of granularity: usage is user and system.
        case sum([Term])
        /// Its differences are often all of that column's: one CPU's share of all CPU time.
        case part(of: Int)
    }

    /// A column before the predicted one, and how many units of the predicted column one of its
    /// units makes.
    public struct Term: Sendable, Hashable {
        public var column: Int
        public var weight: Int32

        public init(column: Int, weight: Int32 = 1) {
            self.column = column
            self.weight = weight
        }
    }

    public init(column: Int, _ source: Source) {
        self.column = column
        self.source = source
    }
}

/// The metrics of a subject, in the order of its values. Many subjects share one.
public struct Schema: Sendable, Hashable {
    public var fields: [SchemaField]
    /// At most one per column, in the order of the columns.
    public var predictions: [Prediction]

    /// With given predictions.
    public init(_ fields: [SchemaField], predictions: [Prediction]) {
        self.fields = fields
        self.predictions = predictions
    }

    /// With the predictions that the catalogue's metrics allow. Put totals after their parts: a column
    /// is predicted from columns before it only.
    public init(_ fields: [SchemaField]) {
        self.init(fields, predictions: MetricRelations.predictions(for: fields))
    }

    /// The column of a metric; `nil` where the subject does not have it.
    public func column(of metric: MetricID) -> Int? {
        fields.firstIndex { $0.metric == metric.rawValue }
    }
}

extension Schema {
    /// Terms of all predictions.
    var termCount: Int {
        predictions.reduce(0) { count, prediction in
            if case .sum(let terms) = prediction.source { count + terms.count } else { count + 1 }
        }
    }

    /// Whether predictions are in order, at most one a column, and use earlier columns only.
    var isWellFormed: Bool {
        guard !fields.isEmpty, fields.allSatisfy({ $0.granularity > 0 }) else { return false }
        var last = -1
        for prediction in predictions {
            let column = prediction.column
            guard column > last, column < fields.count else { return false }
            last = column
            switch prediction.source {
            case .part(let whole):
                guard (0..<column).contains(whole) else { return false }
            case .sum(let terms):
                guard !terms.isEmpty, terms.allSatisfy({ (0..<column).contains($0.column) })
                else { return false }
            }
        }
        return true
    }
}
