import Wire

/// What we read and write of a Lease (`coordination.k8s.io/v1`): client-go's leader election record,
/// and the sinks' cursors in an annotation.
///
/// Source: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>.
struct LeaseRecord: Equatable, Sendable {
    /// Empty when nobody holds it.
    var holderIdentity = ""
    var leaseDurationSeconds: Int64 = 0
    /// RFC 3339 with six decimals, by the holder's clock: for people, never compared with ours.
    var acquireTime = ""
    var renewTime = ""
    var leaseTransitions: Int64 = 0
    /// `SinkCursors` as text; empty for none.
    var cursors = ""

    static let annotation: StaticString = "heapwire.io/sink-cursors"
    private static let apiVersion = "coordination.k8s.io/v1"

    /// Whether the election sees any difference; cursors are not part of it.
    func isSameElection(as other: LeaseRecord) -> Bool {
        var other = other
        other.cursors = cursors
        return self == other
    }

    /// A time of the wall clock as the apiserver wants it.
    ///
    /// - Parameter milliseconds: since the epoch.
    static func microTime(milliseconds: Int64) -> String {
        let seconds = RFC3339.string(milliseconds: milliseconds / 1_000 * 1_000).dropLast()
        let fraction = String(max(0, milliseconds % 1_000))
        return seconds + "." + String(repeating: "0", count: 3 - fraction.count) + fraction + "000Z"
    }
}

/// A Lease as the apiserver has it.
struct StoredLease: Equatable, Sendable {
    var record: LeaseRecord
    var resourceVersion: String
}

// MARK: - JSON

extension LeaseRecord {
    /// The whole object, for making it.
    func object(name: String, namespace: String) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("apiVersion")
        json.string(Self.apiVersion)
        json.key("kind")
        json.string("Lease")
        json.key("metadata")
        json.beginObject()
        json.key("name")
        json.string(name)
        json.key("namespace")
        json.string(namespace)
        write(annotationsTo: &json)
        json.endObject()
        write(specTo: &json)
        json.endObject()
        return json.bytes
    }

    /// A JSON merge patch (RFC 7386) that holds only for this version of the object: another one makes
    /// the apiserver answer 409. What others wrote beside (labels, annotations) is left alone.
    func patch(resourceVersion: String) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("metadata")
        json.beginObject()
        json.key("resourceVersion")
        json.string(resourceVersion)
        write(annotationsTo: &json)
        json.endObject()
        write(specTo: &json)
        json.endObject()
        return json.bytes
    }

    private func write(annotationsTo json: inout JSONWriter) {
        guard !cursors.isEmpty else { return }
        json.key("annotations")
        json.beginObject()
        json.key(Self.annotation)
        json.string(cursors)
        json.endObject()
    }

    private func write(specTo json: inout JSONWriter) {
        json.key("spec")
        json.beginObject()
        json.key("holderIdentity")
        json.string(holderIdentity)
        json.key("leaseDurationSeconds")
        json.integer(leaseDurationSeconds)
        json.key("acquireTime")
        json.string(acquireTime)
        json.key("renewTime")
        json.string(renewTime)
        json.key("leaseTransitions")
        json.integer(leaseTransitions)
        json.endObject()
    }
}

extension StoredLease {
    /// Reads an object. What is missing or null counts as client-go's zero value.
    ///
    /// - Throws: for what is no JSON object, or has a field of another type.
    init(parsing bytes: UnsafeRawBufferPointer) throws(JSONError) {
        self.init(record: LeaseRecord(), resourceVersion: "")
        var json = JSONScanner(bytes)
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "metadata": try readMetadata(&json)
            case "spec": try readSpec(&json)
            default: try json.skip()
            }
        }
        try json.end()
    }

    private mutating func readMetadata(_ json: inout JSONScanner) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "resourceVersion": resourceVersion = try json.string().string
            case "annotations":
                if try json.takeNull() { continue }
                try json.beginObject()
                while let key = try json.nextKey() {
                    if LeaseRecord.annotation ~= key {
                        record.cursors = try json.string().string
                    } else {
                        try json.skip()
                    }
                }
            default: try json.skip()
            }
        }
    }

    private mutating func readSpec(_ json: inout JSONScanner) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            if try json.takeNull() { continue }
            switch key {
            case "holderIdentity": record.holderIdentity = try json.string().string
            case "leaseDurationSeconds": record.leaseDurationSeconds = try json.integer()
            case "acquireTime": record.acquireTime = try json.string().string
            case "renewTime": record.renewTime = try json.string().string
            case "leaseTransitions": record.leaseTransitions = try json.integer()
            default: try json.skip()
            }
        }
    }
}
