import CLinux
import Wire

/// Requests and answers with one broker, each behind its length.
final class KafkaConnection {
    private let connection: BlockingConnection
    private var correlation: Int32 = 0
    private static let answerByteCountMax = 16 << 20

    init(
        _ endpoint: SinkEndpoint, _ login: KafkaLogin?, _ environment: SinkEnvironment,
        _ deadline: UInt64
    ) throws(SinkError) {
        connection = try BlockingConnection(
            to: endpoint, environment: environment, deadline: deadline)
        if let login { try login.perform(self, deadline) }
    }

    var isStale: Bool { connection.isStale }

    /// - Parameter isFlexible: the version has tagged fields behind both headers (KIP-482).
    func call(
        api: Int16, version: Int16, isFlexible: Bool = false, _ body: [UInt8], _ deadline: UInt64
    ) throws(SinkError) -> KafkaReader {
        correlation &+= 1
        var message = KafkaWriter()
        message.int16(api)
        message.int16(version)
        message.int32(correlation)
        message.string("heapwire")
        if isFlexible { message.bytes.append(0) }
        message.bytes += body
        var framed = KafkaWriter()
        framed.blob(message.bytes)
        try connection.write(framed.bytes, deadline: deadline)
        let length = try connection.read(4, deadline: deadline).reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, length <= Self.answerByteCountMax else {
            throw .malformedAnswer("Kafka: an answer of \(length) bytes")
        }
        var answer = KafkaReader(try connection.read(length, deadline: deadline))
        guard try answer.int32() == correlation else {
            throw .malformedAnswer("Kafka: the answer is to another request")
        }
        if isFlexible { try answer.skipTaggedFields() }
        return answer
    }
}

/// SASL with PLAIN (RFC 4616) or SCRAM (RFC 5802, 7677).
struct KafkaLogin: Sendable {
    /// `plain`, `scram-sha-256` or `scram-sha-512`.
    var mechanism: String
    var user: String
    var password: Secret

    func perform(_ connection: KafkaConnection, _ deadline: UInt64) throws(SinkError) {
        var body = KafkaWriter()
        body.string(mechanism.uppercased())
        var answer = try connection.call(api: 17, version: 1, body.bytes, deadline)
        let code = try answer.int16()
        guard code == 0 else { throw .backend("Kafka: SASL \(mechanism): \(KafkaCode(code))") }
        let password = Array(try password.reveal().utf8)
        if mechanism == "plain" {
            _ = try step(connection, [0] + Array(user.utf8) + [0] + password, deadline)
            return
        }
        var scram = ScramClient(
            user: user, password: password, nonce: Self.nonce(),
            hash: mechanism == "scram-sha-256" ? .sha256 : .sha512)
        let challenge = try step(connection, Array(scram.first.utf8), deadline)
        let final = try scram.answer(String(decoding: challenge, as: UTF8.self))
        let verdict = try step(connection, Array(final.utf8), deadline)
        try scram.verify(String(decoding: verdict, as: UTF8.self))
    }

    private func step(
        _ connection: KafkaConnection, _ bytes: [UInt8], _ deadline: UInt64
    ) throws(SinkError) -> [UInt8] {
        var body = KafkaWriter()
        body.blob(bytes)
        var answer = try connection.call(api: 36, version: 0, body.bytes, deadline)
        let code = try answer.int16()
        let reason = try answer.string()
        guard code == 0 else {
            throw .backend("Kafka: login refused: \(KafkaCode(code)) \(reason ?? "")")
        }
        return try answer.blob()
    }

    private static func nonce() -> String {
        var bytes = [UInt8](repeating: 0, count: 18)
        let count = hw_getrandom(&bytes, bytes.count)
        precondition(count == bytes.count, "getrandom: \(count)")
        return Base64.encode(bytes)
    }
}

/// The client's side of SCRAM. Pure; the nonce is passed in.
struct ScramClient {
    let first: String
    private let bare: String
    private let nonce: String
    private let password: [UInt8]
    private let hash: Crypto.Hash
    private var serverSignature: [UInt8] = []

    init(user: String, password: [UInt8], nonce: String, hash: Crypto.Hash) {
        var name = ""
        for character in user {
            name += character == "=" ? "=3D" : character == "," ? "=2C" : String(character)
        }
        bare = "n=\(name),r=\(nonce)"
        first = "n,,\(bare)"
        self.nonce = nonce
        self.password = password
        self.hash = hash
    }

    /// The message that proves the password, for the server's challenge.
    mutating func answer(_ challenge: String) throws(SinkError) -> String {
        let fields = Self.fields(challenge)
        guard let both = fields["r"], both.hasPrefix(nonce), both != nonce,
            let salt = fields["s"].flatMap({ Base64.decode($0.utf8) }),
            let iterations = fields["i"].flatMap({ Int($0) }), (1...1_000_000).contains(iterations)
        else { throw .malformedAnswer("SCRAM: the server's challenge") }
        let salted = Crypto.stretch(
            password: password, salt: salt, iterations: iterations, hash)
        let clientKey = Crypto.hmac(Array("Client Key".utf8), key: salted, hash)
        let withoutProof = "c=biws,r=\(both)"
        let message = Array("\(bare),\(challenge),\(withoutProof)".utf8)
        let signature = Crypto.hmac(message, key: Crypto.digest(clientKey, hash), hash)
        let serverKey = Crypto.hmac(Array("Server Key".utf8), key: salted, hash)
        serverSignature = Crypto.hmac(message, key: serverKey, hash)
        let proof = zip(clientKey, signature).map { $0 ^ $1 }
        return "\(withoutProof),p=\(Base64.encode(proof))"
    }

    /// Checks that the server knows the password too.
    func verify(_ verdict: String) throws(SinkError) {
        guard Self.fields(verdict)["v"].flatMap({ Base64.decode($0.utf8) }) == serverSignature
        else {
            throw .backend("SCRAM: the server does not know the password")
        }
    }

    private static func fields(_ text: String) -> [Character: String] {
        var fields: [Character: String] = [:]
        for part in text.split(separator: ",") where part.dropFirst().first == "=" {
            if let key = part.first { fields[key] = String(part.dropFirst(2)) }
        }
        return fields
    }
}
