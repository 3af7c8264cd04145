/// Makes one `String` of equal texts that come close together: names, images, label values of the
/// pods of one workload.
///
/// A cache of fixed size, one place per hash value: a text that was pushed out is made anew, which
/// costs memory but is not wrong, and nothing grows. Texts of up to 15 bytes need no storage
/// in Swift and pass by. Not safe for several threads.
struct StringInterner {
    private var slots: [String]
    private let mask: Int

    /// - Parameter slotCount: 16 bytes each; rounded up to a power of two.
    init(slotCount: Int) {
        var count = 1
        while count < slotCount { count *= 2 }
        slots = Array(repeating: "", count: count)
        mask = count - 1
    }

    mutating func string(_ text: JSONText) -> String {
        text.withUTF8 { string(utf8: $0) }
    }

    /// The bytes must be UTF-8.
    mutating func string(utf8 bytes: UnsafeRawBufferPointer) -> String {
        guard bytes.count > 15 else { return String(decoding: bytes, as: UTF8.self) }
        let slot = Int(truncatingIfNeeded: Self.hash(bytes)) & mask
        if Self.equal(slots[slot], bytes) { return slots[slot] }
        let made = String(decoding: bytes, as: UTF8.self)
        slots[slot] = made
        return made
    }

    private static func equal(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let utf8 = text.utf8
        guard utf8.count == bytes.count else { return false }
        return utf8.withContiguousStorageIfAvailable {
            $0.elementsEqual(bytes)
        } ?? utf8.elementsEqual(bytes)
    }

    /// Multiplies and folds eight bytes at a time. A hash that can be foreseen only spoils sharing.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(bytes.count) &* 0x9E37_79B9_7F4A_7C15
        func mix(_ word: UInt64) {
            let product = (hash ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
            hash = product.low ^ product.high
        }
        var index = 0
        while index + 8 <= bytes.count {
            mix(bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index += 8
        }
        // Longer than 15 bytes: the last word overlaps the one before.
        mix(bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
        return hash
    }
}

/// The same for values that are made before they can be compared.
struct ValueInterner<Value: Hashable> {
    private var slots: [Value?]
    private let mask: Int

    init(slotCount: Int) {
        var count = 1
        while count < slotCount { count *= 2 }
        slots = Array(repeating: nil, count: count)
        mask = count - 1
    }

    /// An equal value seen before, else this one.
    mutating func value(_ new: Value) -> Value {
        let slot = new.hashValue & mask
        if let known = slots[slot], known == new { return known }
        slots[slot] = new
        return new
    }
}
