/// Reads a frame group by group, or passes over groups.
struct GroupReader {
    /// Of a selective decoder in a group.
    struct Interest: BitwiseCopyable {
        var isWanted = false
        /// Its values are the last frame's.
        var isCurrent = false
    }

    private let isKey: Bool
    private let hasFrame: UnsafeMutablePointer<Bool>
    private let interests: UnsafeMutablePointer<Interest>?
    private let values: ValueReader

    /// - Parameter interests: by group; `nil` reads all.
    init(
        state: borrowing FrameState, isKey: Bool, hasFrame: UnsafeMutablePointer<Bool>,
        interests: UnsafeMutablePointer<Interest>?
    ) {
        self.isKey = isKey
        self.hasFrame = hasFrame
        self.interests = interests
        values = ValueReader(state: state)
    }

    /// Reads all groups of the frame into the state.
    ///
    /// - Throws: `malformed`, `truncated`.
    func readAll(
        _ state: borrowing FrameState, _ reader: inout BitReader
    ) throws(WireError) {
        let rows = state.live.base
        let end = state.live.count
        var first = 0
        while first < end {
            let group = rows[first].group
            var next = first &+ 1
            while next < end, rows[next].group == group { next &+= 1 }
            if state.isAnyFresh {
                for index in first..<next where rows[index].isFresh {
                    hasFrame[Int(rows[index].slot)] = true
                }
            }
            let hasLength = !isKey && next < end
            let length =
                hasLength
                ? try readLength(state.groups.base + Int(truncatingIfNeeded: group), &reader) : 0
            if isRead(Int(truncatingIfNeeded: group)) {
                let start = reader.position
                try read(first..<next, state, &reader)
                guard !hasLength || reader.position &- start == length else {
                    throw .malformed(what: "group length", offset: reader.byteOffset)
                }
            } else if hasLength {
                reader.skip(length)
            } else {
                reader.skipToEnd()
            }
            guard !reader.isPastEnd else { throw .truncated(offset: reader.byteOffset) }
            first = next
        }
    }

    @inline(__always)
    private func read(
        _ range: Range<Int>, _ state: borrowing FrameState, _ reader: inout BitReader
    ) throws(WireError) {
        let rows = state.live.base
        let isAny = try FlagReader.read(range, state, &reader)
        guard isAny || state.isAnyFresh else { return }
        for index in range {
            if rows[index].isFresh { state.copyModelValues(to: rows[index]) }
            if rows[index].isFlagged { values.read(rows[index], &reader) }
        }
    }

    /// The bits that a group takes, sent in front of it so that it can be passed over.
    @inline(__always)
    private func readLength(
        _ group: UnsafeMutablePointer<GroupState>, _ reader: inout BitReader
    ) throws(WireError) -> Int {
        let parameter = group.pointee.lengthParameter
        guard
            case .change(let length) = group.pointee.length
                .read(parameter, isPositive: true, &reader), length > 0
        else { throw .malformed(what: "group length", offset: reader.byteOffset) }
        return Int(length)
    }

    /// Whether a group's values are read; notes whether they are the last frame's then.
    @inline(__always)
    private func isRead(_ group: Int) -> Bool {
        guard let interests else { return true }
        let isRead = isKey || (interests[group].isWanted && interests[group].isCurrent)
        interests[group].isCurrent = isRead
        return isRead
    }
}
