import Wire

extension JoinedSubject {
    private func parts(
        in rows: LiveRows
    ) -> [(part: EphemeralStorage.Part, item: Int64)] {
        children.compactMap { child in
            guard let part = EphemeralStorage.part(child.subject),
                let usage = child.value(.filesystemUsage, in: rows)
            else { return nil }
            return (part, usage)
        }
    }

    /// A node's or container's, in bytes; `nil` where it is not known, or read as a value of its own.
    func ephemeralStorage(in rows: LiveRows) -> Int64? {
        guard columns.column(of: .ephemeralStorageUsage) == nil,
            children.contains(where: { $0.subject.kind == .filesystem })
        else { return nil }
        let terms = EphemeralStorage.terms(parts(in: rows))
        return terms.isEmpty ? nil : terms.reduce(0, &+)
    }

    /// What a pod's emptyDirs on the node's disk take, in bytes.
    fileprivate func emptyDirectories(in rows: LiveRows) -> Int64 {
        parts(in: rows).reduce(0) { $0 &+ ($1.part == .emptyDirectory ? $1.item : 0) }
    }
}

extension JoinedPod {
    /// What comes to the sum of a pod's containers for its emptyDirs on the node's disk, in bytes; 0 where an
    /// agent reads pod or containers as values of their own.
    func emptyDirectories(in rows: LiveRows) -> Int64 {
        let isRead = (containers.map(\.subject) + [subject]).contains {
            $0?.columns.column(of: .ephemeralStorageUsage) != nil
        }
        return isRead ? 0 : subject?.emptyDirectories(in: rows) ?? 0
    }
}
