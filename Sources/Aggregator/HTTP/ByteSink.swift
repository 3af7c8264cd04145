/// What text is written to byte by byte: an array that grows, or memory of known size.
protocol ByteSink {
    mutating func append(_ byte: UInt8)
    /// Decimal, without leading zeros.
    mutating func append(digitsOf number: UInt64)
    mutating func append(_ bytes: UnsafeRawBufferPointer)
}

extension [UInt8]: ByteSink {
    mutating func append(digitsOf number: UInt64) {
        JSONNumberFormat.append(digitsOf: number, to: &self)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { append(contentsOf: bytes) }
}

/// Counts what would be written.
struct ByteCounter: ByteSink {
    private(set) var count = 0

    mutating func append(_ byte: UInt8) { count &+= 1 }

    mutating func append(digitsOf number: UInt64) { count &+= ByteCursor.digitCount(number) }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { count &+= bytes.count }
}
