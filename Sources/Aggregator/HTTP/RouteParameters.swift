/// Where in the head the values of a route's parameters are; eight at most, stored in place.
struct RouteParameters: Sendable {
    static let countMax = 8

    private var packed = InlineArray<8, UInt32>(repeating: 0)
    private(set) var count = 0

    mutating func append(_ range: HTTPSyntax.Extent) {
        precondition(count < Self.countMax, "more than \(Self.countMax) parameters in a route")
        packed[count] = UInt32(range.start) << 16 | UInt32(range.end)
        count += 1
    }

    mutating func removeLast() { count -= 1 }

    subscript(index: Int) -> HTTPSyntax.Extent {
        precondition(index >= 0 && index < count, "parameter \(index) of \(count)")
        return HTTPSyntax.Extent(Int(packed[index] >> 16), Int(packed[index] & 0xFFFF))
    }
}
