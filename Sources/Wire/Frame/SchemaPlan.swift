/// A schema as the hot loops want it: small plain structs in tables that live as long as the plan.
final class SchemaPlan: @unchecked Sendable {
    let schema: Schema
    let tables: UnsafeMutablePointer<Tables>

    struct Tables: BitwiseCopyable {
        let columns: UnsafeMutablePointer<Column>
        let sources: UnsafeMutablePointer<Source>
        /// Edges that have no place in a source.
        let otherEdges: UnsafeMutablePointer<Edge>
        /// For the encoder.
        let divisors: UnsafeMutablePointer<Divisor>
    }

    /// What the decoder needs to know of a column, in 12 bytes: a frame touches columns of many
    /// schemas, which should stay in the cache.
    struct Column: BitwiseCopyable {
        let granularity: UInt32
        /// Where in `sources` it says which predictions have this column as a term; at 0 none do.
        fileprivate(set) var source: UInt16 = 0
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
        static let hasWhole = Traits(rawValue: 2)
    }

    /// One term of one sum, from the term's column to the sum's.
    struct Edge: BitwiseCopyable {
        var weight: Int32 = 0
        /// The sum's column.
        var target: UInt16 = 0
    }

    /// The sums that have one column as a term.
    struct Source: BitwiseCopyable {
        /// Those in the same word of 64 columns.
        fileprivate(set) var near: UInt64 = 0
        /// Two edges, because more are rare; without weight where there are less.
        fileprivate(set) var first = Edge()
        fileprivate(set) var second = Edge()
        /// All others, a run of `otherEdges`: first those in the same word, then those in later ones.
        fileprivate(set) var firstOther: UInt16 = 0
        fileprivate(set) var firstFar: UInt16 = 0
        fileprivate(set) var otherEnd: UInt16 = 0
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
        var edges = [[Edge]](repeating: [], count: columns.count)
        for prediction in schema.predictions {
            let column = prediction.column
            switch prediction.source {
            case .part(let whole):
                columns[column].whole = UInt16(whole)
                columns[column].traits.insert(.hasWhole)
            case .sum(let terms):
                columns[column].traits.remove(.isPositive)
                for term in terms {
                    edges[term.column].append(Edge(weight: term.weight, target: UInt16(column)))
                }
            }
        }
        var sources = [Source()]
        var otherEdges: [Edge] = []
        for column in columns.indices where !edges[column].isEmpty {
            columns[column].source = UInt16(sources.count)
            sources.append(Self.source(column, edges[column], &otherEdges))
        }
        tables = .allocate(capacity: 1)
        tables.initialize(
            to: Tables(
                columns: Self.copy(columns), sources: Self.copy(sources),
                otherEdges: Self.copy(otherEdges),
                divisors: Self.copy(schema.fields.map { Divisor($0.granularity) })))
    }

    private static func source(
        _ column: Int, _ edges: [Edge], _ otherEdges: inout [Edge]
    ) -> Source {
        let near = edges.filter { Int($0.target) / 64 == column / 64 }
        let far = edges.filter { Int($0.target) / 64 != column / 64 }
        var source = Source(firstOther: UInt16(otherEdges.count))
        for edge in near { source.near |= 1 << UInt64(edge.target % 64) }
        if near.count > 0 { source.first = near[0] }
        if near.count > 1 { source.second = near[1] }
        otherEdges += near.dropFirst(2)
        source.firstFar = UInt16(otherEdges.count)
        otherEdges += far
        source.otherEnd = UInt16(otherEdges.count)
        return source
    }

    deinit {
        tables.pointee.columns.deallocate()
        tables.pointee.sources.deallocate()
        tables.pointee.otherEdges.deallocate()
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
    /// Adds a column's difference, times their weights, to what is expected of the sums that have
    /// it as a term.
    @inline(__always)
    func pass(
        _ units: Int64, of column: SchemaPlan.Column, to expected: UnsafeMutablePointer<Int64>
    ) {
        let source = sources + Int(truncatingIfNeeded: column.source)
        let (first, second) = (source.pointee.first, source.pointee.second)
        expected[Int(truncatingIfNeeded: first.target)] &+= Int64(first.weight) &* units
        expected[Int(truncatingIfNeeded: second.target)] &+= Int64(second.weight) &* units
        if source.pointee.firstOther < source.pointee.otherEnd {
            passOthers(units, source.pointee, to: expected)
        }
    }

    @inline(never)
    private func passOthers(
        _ units: Int64, _ source: SchemaPlan.Source, to expected: UnsafeMutablePointer<Int64>
    ) {
        for index in Int(source.firstOther)..<Int(source.otherEnd) {
            let edge = otherEdges[index]
            expected[Int(edge.target)] &+= Int64(edge.weight) &* units
        }
    }

    /// Notes the sums that have this column as a term; returns those in the same word.
    @inline(__always)
    func pend(
        _ column: SchemaPlan.Column, _ scratch: UnsafeMutablePointer<FrameState.ScratchWord>
    ) -> UInt64 {
        let source = sources + Int(truncatingIfNeeded: column.source)
        if source.pointee.firstFar < source.pointee.otherEnd { pendFar(source.pointee, scratch) }
        return source.pointee.near
    }

    @inline(never)
    private func pendFar(
        _ source: SchemaPlan.Source, _ scratch: UnsafeMutablePointer<FrameState.ScratchWord>
    ) {
        for index in Int(source.firstFar)..<Int(source.otherEnd) {
            let target = Int(otherEdges[index].target)
            scratch[target &>> 6].pending |= 1 &<< UInt64(target & 63)
        }
    }
}
