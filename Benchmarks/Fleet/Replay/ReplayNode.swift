import Wire

/// One recorded node: turns its summaries into frames, one after the other.
final class ReplayNode {
    let name: String
    let log: FrameLog
    private let recorder: FrameRecorder
    private var placed: [String: Placed] = [:]
    private var order: [String] = []

    private struct Placed {
        let slot: Slot
        let subject: Subject
        let schema: Schema
        let parentPath: String?
    }

    init(name: String, stepCount: Int) {
        self.name = name
        log = FrameLog(capacity: stepCount + 1)
        recorder = FrameRecorder(log: log)
    }

    /// Records one summary as the frame of a step.
    ///
    /// - Throws: `limitExceeded` when there is more in it than a node may have.
    func record(
        _ summary: SummarySubjects, step: Int64, clock: Clock
    ) throws(WireError) {
        try removeWhatIsGone(summary)
        for entry in summary.entries {
            let slot = try place(entry)
            let row = recorder.row(of: slot)
            for (column, item) in entry.values.enumerated() { row[column] = item.value }
        }
        recorder.record(
            stepMilliseconds: step, readDelay: 0, takenNanoseconds: clock.monotonicNanoseconds)
    }

    /// Removes what is not there any more or is another subject now, with everything below it.
    private func removeWhatIsGone(_ summary: SummarySubjects) throws(WireError) {
        var kept = Set<String>()
        for entry in summary.entries {
            guard let old = placed[entry.path], old.subject == entry.subject,
                old.schema == entry.schema, entry.parentPath.map({ kept.contains($0) }) ?? true
            else { continue }
            kept.insert(entry.path)
        }
        for path in order.reversed() where !kept.contains(path) {
            guard let gone = placed.removeValue(forKey: path) else { continue }
            try recorder.remove(gone.slot)
        }
        order.removeAll { placed[$0] == nil }
    }

    private func place(_ entry: SummarySubjects.Entry) throws(WireError) -> Slot {
        if let placed = placed[entry.path] { return placed.slot }
        let slot = recorder.takeSlot()
        var subject = entry.subject
        subject.parent = entry.parentPath.flatMap { placed[$0]?.slot }
        try recorder.add(slot, subject, entry.schema)
        placed[entry.path] = Placed(
            slot: slot, subject: entry.subject, schema: entry.schema,
            parentPath: entry.parentPath)
        order.append(entry.path)
        return slot
    }
}
