import Synchronization

/// Schemas and what was worked out for them, shared by decoders: the agents of a cluster have a few
/// dozen schemas between them, and every decoder of every node would keep its own copies.
///
/// Any thread may use it. It is asked once per schema of a chain, never on the way of a frame.
public final class SchemaPlans: Sendable {
    private let known = Mutex<[Schema: SchemaPlan]>([:])

    /// Schemas come from outside: beyond so many they are not shared any more.
    private static let countMax = 4_096

    public init() {}

    /// - Precondition: the schema was checked, as `FrameLayout` does.
    func plan(_ schema: Schema) -> SchemaPlan {
        known.withLock { known in
            if let plan = known[schema] { return plan }
            let plan = SchemaPlan(schema)
            if known.count < Self.countMax { known[schema] = plan }
            return plan
        }
    }
}
