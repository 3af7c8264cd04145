/// A schema as the hot loops want it: small plain structs in tables that live as long as the plan.
final class SchemaPlan: @unchecked Sendable {
    let schema: Schema
    let tables: UnsafeMutablePointer<Tables>

    struct Tables: BitwiseCopyable {
        let columns: UnsafeMutablePointer<Column>
        /// Runs of terms: see `Column`.
        let terms: UnsafeMutablePointer<Term>
        let dependents: UnsafeMutablePointer<Dependents>
        let farDependents: UnsafeMutablePointer<UInt16>
        /// For the encoder.
        let divisors: UnsafeMutablePointer<Divisor>
    }

    /// What the decoder needs to know of a column, in 12 bytes: a frame touches columns of many
    /// schemas, which should stay in the cache.
    struct Column: BitwiseCopyable {
        let granularity: UInt32
        /// Where in `terms` the prediction's run begins: a multiple of four terms, filled up with
        /// terms of weight 0, which the run at 0 has only.
        fileprivate(set) var firstTerm: UInt16 = 0
        /// Where in `dependents` the columns are whose prediction has this one as a term; none at 0.
        fileprivate(set) var dependents: UInt16 = 0
        /// The column that this one is a part of.
        fileprivate(set) var whole: UInt16 = 0
        /// Significant bits of the granularity, less one.
        let unitBits: UInt8
        fileprivate(set) var traits: Traits

        init(_ field: SchemaField) {
            granularity = field.granularity
            unitBits = UInt8(31 - field.granularity.leadingZeroBitCount)
            traits = field.isCounter ? .isPositive : []
        }
    }

    struct Traits: OptionSet, BitwiseCopyable {
        let rawValue: UInt8
        /// A counter without a sum: its changes are nearly always positive.
        static let isPositive = Traits(rawValue: 1)
        static let hasTerms = Traits(rawValue: 2)
        static let hasWhole = Traits(rawValue: 4)
        /// Another column looks at this one's difference.
        static let isSource = Traits(rawValue: 8)
        /// Has to do with other columns.
        static let isRelated: Traits = [.hasTerms, .hasWhole, .isSource]
    }

    struct Term: BitwiseCopyable {
        let column: UInt16
        /// Another four terms follow this one and its three neighbours.
        fileprivate(set) var goesOn = false
        let weight: Int32
    }

    /// Columns whose prediction has one column as a term.
    struct Dependents: BitwiseCopyable {
        /// Those in the same word of 64 columns.
        var near: UInt64 = 0
        /// Others, which are in later words: a run of `farDependents`.
        var firstFar: UInt16 = 0
        var farCount: UInt16 = 0
    }

    /// Division by a column's granularity where it goes without a rest.
    struct Divisor: BitwiseCopyable {
        let granularity: Int64
        /// Zero bits at the granularity's end.
        private let shift: Int64
        /// Inverse of the granularity's odd part modulo 2^64.
        private let inverse: Int64
        /// The greatest number of units whose product fits.
        private let unitsMax: UInt64

        init(_ granularity: UInt32) {
            let unit = Int64(granularity)
            self.granularity = unit
            shift = Int64(unit.trailingZeroBitCount)
            let odd = unit >> shift
            // Newton's iteration doubles the right bits: 3, 6, 12, 24, 48, 96.
            var inverse = odd
            for _ in 0..<5 { inverse = inverse &* (2 &- odd &* inverse) }
            self.inverse = inverse
            unitsMax = UInt64(Int64.max) / UInt64(unit)
        }

        /// The units in a difference; `nil` where it is not a whole number of them.
        @inline(__always)
        func units(_ difference: Int64) -> Int64? {
            if granularity == 1 { return difference }
            let quotient = (difference &>> shift) &* inverse
            guard quotient &* granularity == difference, quotient.magnitude <= unitsMax else {
                return nil
            }
            return quotient
        }
    }

    /// - Precondition: `schema.isWellFormed`, and its terms are no more than `WireLimits` can allow
    ///   (16 bits).
    init(_ schema: Schema) {
        self.schema = schema
        var columns = schema.fields.map(Column.init)
        var terms = [Term](repeating: Term(column: 0, weight: 0), count: 4)
        var dependents = [[UInt16]](repeating: [], count: columns.count)
        for prediction in schema.predictions {
            let column = prediction.column
            switch prediction.source {
            case .part(let whole):
                columns[column].whole = UInt16(whole)
                columns[column].traits.insert(.hasWhole)
                columns[whole].traits.insert(.isSource)
            case .sum(let sources):
                columns[column].firstTerm = UInt16(terms.count)
                columns[column].traits.insert(.hasTerms)
                columns[column].traits.remove(.isPositive)
                Self.append(sources, to: &terms)
                for source in sources {
                    columns[source.column].traits.insert(.isSource)
                    if !dependents[source.column].contains(UInt16(column)) {
                        dependents[source.column].append(UInt16(column))
                    }
                }
            }
        }
        var runs = [Dependents()]
        var far: [UInt16] = []
        for column in columns.indices where columns[column].traits.contains(.isSource) {
            columns[column].dependents = UInt16(runs.count)
            var run = Dependents(firstFar: UInt16(far.count))
            for dependent in dependents[column] {
                if Int(dependent) / 64 == column / 64 {
                    run.near |= 1 << UInt64(dependent % 64)
                } else {
                    far.append(dependent)
                    run.farCount += 1
                }
            }
            runs.append(run)
        }
        tables = .allocate(capacity: 1)
        tables.initialize(
            to: Tables(
                columns: Self.copy(columns), terms: Self.copy(terms), dependents: Self.copy(runs),
                farDependents: Self.copy(far),
                divisors: Self.copy(schema.fields.map { Divisor($0.granularity) })))
    }

    /// Appends a run, filled up to a multiple of four.
    private static func append(_ sources: [Prediction.Term], to terms: inout [Term]) {
        for (index, source) in sources.enumerated() {
            if index > 0, index.isMultiple(of: 4) { terms[terms.count - 4].goesOn = true }
            terms.append(Term(column: UInt16(source.column), weight: source.weight))
        }
        while !terms.count.isMultiple(of: 4) { terms.append(Term(column: 0, weight: 0)) }
    }

    deinit {
        tables.pointee.columns.deallocate()
        tables.pointee.terms.deallocate()
        tables.pointee.dependents.deallocate()
        tables.pointee.farDependents.deallocate()
        tables.pointee.divisors.deallocate()
        tables.deallocate()
    }

    private static func copy<Element>(_ array: [Element]) -> UnsafeMutablePointer<Element> {
        let copy = UnsafeMutablePointer<Element>.allocate(capacity: max(array.count, 1))
        for (index, element) in array.enumerated() {
            (copy + index).initialize(to: element)
        }
        return copy
    }
}

extension SchemaPlan.Tables {
    /// What a column's difference should be by its prediction, in its units.
    @inline(__always)
    func predicted(
        _ column: SchemaPlan.Column, _ differences: UnsafeMutablePointer<Int64>
    ) -> Int64 {
        var run = terms + Int(truncatingIfNeeded: column.firstTerm)
        var sum: Int64 = 0
        while true {
            for index in 0..<4 {
                sum &+=
                    Int64(run[index].weight)
                    &* differences[Int(truncatingIfNeeded: run[index].column)]
            }
            guard run[0].goesOn else { return sum }
            run += 4
        }
    }

    /// Notes the columns whose prediction has this one as a term; returns those in the same word.
    @inline(__always)
    func pend(
        _ column: SchemaPlan.Column, _ scratch: UnsafeMutablePointer<FrameState.ScratchWord>
    ) -> UInt64 {
        let run = dependents + Int(truncatingIfNeeded: column.dependents)
        if run.pointee.farCount > 0 { pendFar(run.pointee, scratch) }
        return run.pointee.near
    }

    @inline(never)
    private func pendFar(
        _ run: SchemaPlan.Dependents, _ scratch: UnsafeMutablePointer<FrameState.ScratchWord>
    ) {
        for index in Int(run.firstFar)..<Int(run.firstFar) &+ Int(run.farCount) {
            let dependent = Int(farDependents[index])
            scratch[dependent &>> 6].pending |= 1 &<< UInt64(dependent & 63)
        }
    }
}
