/// A schema as the hot loops want it: small plain structs in tables that live as long as the plan.
final class SchemaPlan: @unchecked Sendable {
    let schema: Schema
    let tables: UnsafeMutablePointer<Tables>

    struct Tables: BitwiseCopyable {
        let columns: UnsafeMutablePointer<Column>
        /// Runs of dependents: see `Column`.
        let dependents: UnsafeMutablePointer<Dependent>
        /// For the encoder.
        let divisors: UnsafeMutablePointer<Divisor>
    }

    /// What the decoder needs to know of a column, in 32 bytes.
    ///
    /// A prediction is gathered where its terms are known: a column adds its difference to those of
    /// its *dependents*. So the columns that depend on none and have no dependents, most of all, need
    /// no branch: they add nothing to the first column of their word.
    struct Column: BitwiseCopyable {
        let granularity: UInt32
        /// Significant bits of the granularity, less one.
        let unitBits: UInt8
        fileprivate(set) var traits: Traits
        /// Two dependents in the same word of 64 columns, by their place there; weight 0 for none.
        fileprivate(set) var target0: UInt8 = 0
        fileprivate(set) var target1: UInt8 = 0
        fileprivate(set) var weight0: Int32 = 0
        fileprivate(set) var weight1: Int32 = 0
        /// All dependents in the same word.
        fileprivate(set) var near: UInt64 = 0
        /// The column that this one is a part of.
        fileprivate(set) var whole: UInt16 = 0
        /// All other dependents: a run in `dependents`.
        fileprivate(set) var firstOther: UInt16 = 0
        fileprivate(set) var otherCount: UInt16 = 0

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
        static let hasWhole = Traits(rawValue: 2)
        /// Has dependents beside the two that are in its column.
        static let hasOthers = Traits(rawValue: 4)
    }

    struct Dependent: BitwiseCopyable {
        let column: UInt16
        let weight: Int32
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
        var others = [[Dependent]](repeating: [], count: columns.count)
        for prediction in schema.predictions {
            let column = prediction.column
            switch prediction.source {
            case .part(let whole):
                columns[column].whole = UInt16(whole)
                columns[column].traits.insert(.hasWhole)
            case .sum(let terms):
                columns[column].traits.remove(.isPositive)
                for term in terms {
                    let source = term.column
                    if !columns[source].take(column, term.weight, isNear: source / 64 == column / 64) {
                        others[source].append(
                            Dependent(column: UInt16(column), weight: term.weight))
                    }
                }
            }
        }
        var dependents: [Dependent] = []
        for column in columns.indices where !others[column].isEmpty {
            columns[column].traits.insert(.hasOthers)
            columns[column].firstOther = UInt16(dependents.count)
            columns[column].otherCount = UInt16(others[column].count)
            dependents += others[column]
        }
        tables = .allocate(capacity: 1)
        tables.initialize(
            to: Tables(
                columns: Self.copy(columns), dependents: Self.copy(dependents),
                divisors: Self.copy(schema.fields.map { Divisor($0.granularity) })))
    }

    deinit {
        tables.pointee.columns.deallocate()
        tables.pointee.dependents.deallocate()
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

extension SchemaPlan.Column {
    /// Makes a column one of the two nearest dependents; says whether there was room.
    fileprivate mutating func take(_ column: Int, _ weight: Int32, isNear: Bool) -> Bool {
        guard isNear else { return false }
        near |= 1 << UInt64(column % 64)
        // A weight of 0 adds nothing, and may be replaced.
        if weight0 == 0 {
            (target0, weight0) = (UInt8(column % 64), weight)
        } else if weight1 == 0 {
            (target1, weight1) = (UInt8(column % 64), weight)
        } else {
            return false
        }
        return true
    }
}

extension SchemaPlan.Tables {
    /// Adds a column's difference to what is predicted of its dependents.
    ///
    /// - Parameters:
    ///   - predicted: of the first column of the column's word.
    ///   - scratch: of the word at hand; later words with dependents are noted there.
    /// - Returns: dependents in the same word, which must be looked at; none if the difference is 0.
    @inline(__always)
    func push(
        _ column: UnsafeMutablePointer<SchemaPlan.Column>, _ units: Int64,
        _ predicted: UnsafeMutablePointer<Int64>, word: Int,
        _ scratch: UnsafeMutablePointer<FrameState.ScratchWord>
    ) -> UInt64 {
        let plan = column.pointee
        predicted[Int(truncatingIfNeeded: plan.target0)] &+= units &* Int64(plan.weight0)
        predicted[Int(truncatingIfNeeded: plan.target1)] &+= units &* Int64(plan.weight1)
        if plan.traits.contains(.hasOthers), units != 0 {
            pushOthers(column, units, predicted - word &* 64, word: word, scratch)
        }
        return units == 0 ? 0 : plan.near
    }

    @inline(never)
    private func pushOthers(
        _ column: UnsafeMutablePointer<SchemaPlan.Column>, _ units: Int64,
        _ predicted: UnsafeMutablePointer<Int64>, word: Int,
        _ scratch: UnsafeMutablePointer<FrameState.ScratchWord>
    ) {
        let first = Int(column.pointee.firstOther)
        for index in first..<first &+ Int(column.pointee.otherCount) {
            let dependent = dependents[index]
            let target = Int(dependent.column)
            predicted[target] &+= units &* Int64(dependent.weight)
            if target &>> 6 != word { scratch[target &>> 6].pending |= 1 &<< UInt64(target & 63) }
        }
    }
}
