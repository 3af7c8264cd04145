/// Objects of the aggregated APIs as Protocol Buffers, the way the apiserver sends them: four bytes of
/// magic and a `runtime.Unknown` around the object.
///
/// Sources: `generated.proto` of `k8s.io/metrics/pkg/apis/…`, of `k8s.io/apimachinery/pkg/apis/meta/v1`
/// and `…/pkg/runtime`.
enum KubernetesProtobuf {
    static let contentType: StaticString = "application/vnd.kubernetes.protobuf"
    static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]

    /// The whole answer: magic, and `Unknown` with the type in field 1 and the object in field 2.
    static func envelope(
        apiVersion: String, kind: StaticString, _ object: (inout [UInt8]) -> Void
    ) -> [UInt8] {
        var raw: [UInt8] = []
        object(&raw)
        return envelopeHead(apiVersion: apiVersion, kind: kind, byteCount: raw.count) + raw
    }

    /// What is before an object of so many bytes.
    static func envelopeHead(
        apiVersion: String, kind: StaticString, byteCount: Int
    ) -> [UInt8] {
        var bytes = magic
        Protobuf.append(1, to: &bytes) { type in
            Protobuf.append(1, string: apiVersion, to: &type)
            Protobuf.append(2, string: kind.description, to: &type)
        }
        Protobuf.append(header: 2, byteCount: byteCount, to: &bytes)
        return bytes
    }

    /// An empty `ListMeta`.
    static func appendListMeta(to bytes: inout [UInt8]) {
        Protobuf.append(header: 1, byteCount: 0, to: &bytes)
    }

    /// `Time`: seconds and nanoseconds since the epoch. Kubernetes' times are whole seconds.
    static func append(_ field: UInt8, time milliseconds: Int64, to bytes: inout [UInt8]) {
        Protobuf.append(field, to: &bytes) { time in
            Protobuf.append(1, varint: seconds(milliseconds), to: &time)
            Protobuf.append(2, varint: 0, to: &time)
        }
    }

    /// Of a `Time`.
    static func seconds(_ milliseconds: Int64) -> UInt64 {
        UInt64(bitPattern: milliseconds.flooredSeconds)
    }

    /// Of a `Duration`.
    static func nanoseconds(_ milliseconds: Int64) -> UInt64 {
        UInt64(bitPattern: milliseconds &* 1_000_000)
    }

    /// `Duration`, in nanoseconds.
    static func append(_ field: UInt8, duration milliseconds: Int64, to bytes: inout [UInt8]) {
        Protobuf.append(field, to: &bytes) { duration in
            Protobuf.append(1, varint: nanoseconds(milliseconds), to: &duration)
        }
    }

    /// `Quantity`: its text.
    static func append(_ field: UInt8, quantity: String, to bytes: inout [UInt8]) {
        Protobuf.append(field, to: &bytes) { Protobuf.append(1, string: quantity, to: &$0) }
    }

    /// An entry of `map<string, Quantity>`.
    static func append(
        _ field: UInt8, key: String, quantity: String, to bytes: inout [UInt8]
    ) {
        Protobuf.append(field, to: &bytes) { entry in
            Protobuf.append(1, string: key, to: &entry)
            append(2, quantity: quantity, to: &entry)
        }
    }
}

extension HTTPResponse {
    static func protobuf(_ bytes: [UInt8]) -> HTTPResponse {
        HTTPResponse(.ok, contentType: KubernetesProtobuf.contentType, body: .bytes(bytes))
    }
}

extension Int64 {
    /// Milliseconds as whole seconds, also before the epoch.
    fileprivate var flooredSeconds: Int64 {
        let seconds = self / 1_000
        return self % 1_000 < 0 ? seconds - 1 : seconds
    }
}
