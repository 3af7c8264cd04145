import Synchronization

/// Answers that are believed for a while: at most so many, each for at most so long.
final class ReviewCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry: Sendable {
        let value: Value
        /// Monotonic nanoseconds.
        let until: UInt64
    }

    private let entries = Mutex<[Key: Entry]>([:])
    private let countMax: Int
    private let lifetime: UInt64

    init(countMax: Int, seconds: UInt64) {
        self.countMax = countMax
        lifetime = seconds &* 1_000_000_000
    }

    subscript(key: Key, now now: UInt64) -> Value? {
        entries.withLock { entries in
            guard let entry = entries[key] else { return nil }
            guard now < entry.until else {
                entries[key] = nil
                return nil
            }
            return entry.value
        }
    }

    func put(_ value: Value, for key: Key, now: UInt64) {
        entries.withLock { entries in
            if entries.count >= countMax, entries[key] == nil {
                entries = entries.filter { now < $0.value.until }
                // Still full: half goes, so that this is not done for every entry.
                if entries.count >= countMax {
                    let ends = entries.values.map(\.until).sorted()
                    let middle = ends[ends.count / 2]
                    entries = entries.filter { $0.value.until > middle }
                }
            }
            entries[key] = Entry(value: value, until: now &+ lifetime)
        }
    }

    var count: Int { entries.withLock { $0.count } }
}
