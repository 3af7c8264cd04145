import Wire

/// A subject as the model knows it: the same object as long as it is the same thing, whatever slots
/// it had in whatever chains. All of it is used under the node's lock; readers take `Snapshot`s.
final class SubjectRecord {
    let subject: Subject
    let schema: Schema
    let parent: SubjectRecord?
    /// Where it is in the history.
    private(set) var places: [Place] = []
    /// Step of its newest frame, milliseconds; `Int64.min` before the first.
    var lastStep: Int64 = .min
    /// The newest cycle's rates. `Rates` says which columns they are of.
    var rates = Rates.State()

    /// A slot of a chain, from one frame on until it is removed.
    struct Place {
        let chain: Int
        let slot: Slot
        let firstSequence: UInt64
        var lastSequence: UInt64 = .max
    }

    init(subject: Subject, schema: Schema, parent: SubjectRecord?) {
        self.subject = subject
        self.schema = schema
        self.parent = parent
    }

    func enter(chain: Int, slot: Slot, firstSequence: UInt64) {
        places.append(Place(chain: chain, slot: slot, firstSequence: firstSequence))
    }

    func leave(chain: Int, slot: Slot, lastSequence: UInt64) {
        guard let index = places.lastIndex(where: { $0.chain == chain && $0.slot == slot }) else {
            return
        }
        places[index].lastSequence = lastSequence
    }

    func forget(chain: Int) { places.removeAll { $0.chain == chain } }

    /// What makes it the same subject. Text, because it is built only when a subject is added.
    struct Identity: Hashable {
        let kind: SubjectKind
        let parent: ObjectIdentifier?
        let startTimeMilliseconds: Int64
        let attributes: [Subject.Attribute: String]
        let schema: Schema

        init(subject: Subject, schema: Schema, parent: SubjectRecord?) {
            kind = subject.kind
            self.parent = parent.map { ObjectIdentifier($0) }
            startTimeMilliseconds = subject.startTimeMilliseconds
            attributes = subject.attributes
            self.schema = schema
        }
    }
}
