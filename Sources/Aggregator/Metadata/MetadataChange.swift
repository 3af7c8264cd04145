/// One change of what is known about the cluster, as a watch tells it or a list implies it.
///
/// The values are whole and immutable: a record of them in order is enough to know the names again.
enum MetadataChange: Sendable, Equatable {
    /// New, or changed.
    case pod(Pod)
    case podRemoved(ObjectUID)
    case node(Node)
    case nodeRemoved(name: String)
    case namespace(Namespace)
    case namespaceRemoved(name: String)
    case owned(OwnedObject)
    case ownedRemoved(ObjectUID)
}
