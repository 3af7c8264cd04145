import Wire

/// Lets subjects that say the same share the memory of it: most children of containers and pods
/// (`eth0`, a block device) are alike, and a container names the UID of its pod.
struct AttributeInterner {
    private var known: Set<Attributes> = []
    /// Names of units and interfaces that came and went must not pile up.
    private static let countMax = 256

    private struct Attributes: Hashable {
        let values: [Subject.Attribute: String]
    }

    mutating func shared(
        _ subject: Subject, with parent: SubjectRecord?
    ) -> [Subject.Attribute: String] {
        var values = subject.attributes
        if let uid = values[.podUID] {
            if let parent, let known = parent.subject.attributes[.podUID], known == uid {
                values[.podUID] = known
            }
            return values
        }
        let (inserted, member) = known.insert(Attributes(values: values))
        if inserted, known.count > Self.countMax { known = [] }
        return member.values
    }
}
