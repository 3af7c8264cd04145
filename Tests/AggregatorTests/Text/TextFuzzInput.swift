import Wire

@testable import Aggregator

/// What an input of the text fuzzer does: its first byte says which of the aggregator's readers gets the
/// rest, the second into how large pieces that is cut. Whatever comes in pieces must be understood as it
/// is in one.
enum TextFuzzInput {
    /// What the rest is, in the order of the first byte's values (modulo their number).
    enum Reader: Int, CaseIterable {
        case request, chunkedBody, podList, anyList, exposition, openMetrics, kubeconfig, selector
        case regularExpression, metadataRecord, watchEvent, quantity
    }

    /// - Returns: whether it was understood.
    /// - Precondition: holds whatever the input, or it traps: that is what the fuzzer looks for.
    static func run(_ input: UnsafeRawBufferPointer) -> Bool {
        guard input.count >= 2 else { return false }
        let reader = Reader.allCases[Int(input[0]) % Reader.allCases.count]
        let size = Int(input[1]) % 64 + 1
        let bytes = UnsafeRawBufferPointer(rebasing: input[2...])
        switch reader {
        case .request:
            let whole = request(bytes, pieces: bytes.count)
            precondition(request(bytes, pieces: size) == whole)
            return whole != nil
        case .chunkedBody:
            let whole = body(bytes, pieces: bytes.count)
            precondition(body(bytes, pieces: size) == whole)
            return whole != nil
        case .podList, .anyList:
            let kind = reader == .podList ? "Pod" : nil
            let whole = objects(bytes, pieces: bytes.count, kind: kind)
            precondition(objects(bytes, pieces: size, kind: kind) == whole)
            return whole != nil
        case .exposition, .openMetrics:
            let format: ExpositionParser.Format =
                reader == .exposition ? .prometheus : .openMetrics
            let samples = try? ExpositionParser.parse(Array(bytes), format)
            let limits = ExpositionParser.Limits()
            precondition(samples?.count ?? 0 <= limits.sampleCountMax)
            precondition(
                samples?.allSatisfy { $0.labels.count <= limits.labelCountMax } ?? true)
            return samples != nil
        case .kubeconfig:
            return (try? Kubeconfig.access(parsing: Array(bytes), path: "/fuzz")) != nil
        case .selector:
            var steps = 0
            guard let selector = try? SeriesSelector(text(bytes)) else { return false }
            for matcher in selector.matchers { _ = matcher.matches("kube-system", steps: &steps) }
            return true
        case .regularExpression:
            // Before the first line feed the expression, behind it what is looked at.
            let end = bytes.firstIndex(of: 0x0A) ?? bytes.count
            let subject = text(UnsafeRawBufferPointer(rebasing: bytes[end...]))
            let pattern = text(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
            guard let expression = try? RegularExpression(pattern) else { return false }
            var steps = 0
            _ = expression.matches(subject, steps: &steps)
            precondition(
                steps <= (subject.unicodeScalars.count + 1)
                    * (RegularExpression.instructionCountMax + 1))
            return true
        case .metadataRecord:
            var decoder = MetadataDecoder()
            return (try? decoder.decode(bytes)) != nil
        case .watchEvent: return (try? WatchEvent(parsing: bytes, offset: 0)) != nil
        case .quantity: return Quantity(utf8: bytes) != nil
        }
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    private static let peer = SocketAddress.loopback(port: 1)

    /// The head's fields as one text; `nil` for a refusal or a head without an end.
    private static func request(_ bytes: UnsafeRawBufferPointer, pieces size: Int) -> String? {
        let limits = HTTPLimits()
        var scanner = HeadScanner()
        var end = 0
        while end < bytes.count {
            end = min(bytes.count, end + size)
            let seen = UnsafeRawBufferPointer(rebasing: bytes[..<end])
            guard let progress = try? scanner.scan(seen, limits: limits) else { return nil }
            guard case .complete(let count) = progress else { continue }
            let request = HTTPRequest()
            let head = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            guard (try? request.parse(head: head, peer: peer)) != nil else { return nil }
            var words = "\(request.framing) \(request.keepsAlive) \(request.queryValues("a"))"
            request.forEachField { words += "\(text($0)):\(text($1))\n" }
            return words
        }
        return nil
    }

    /// What was in the chunks; `nil` for a refusal or a body without an end.
    private static func body(_ bytes: UnsafeRawBufferPointer, pieces size: Int) -> [UInt8]? {
        var decoder = BodyDecoder(chunked: ())
        var body: [UInt8] = []
        var start = 0
        var end = 0
        while end < bytes.count, !decoder.isComplete {
            end = min(bytes.count, end + size)
            let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            guard
                let count = try? decoder.consume(
                    piece, limits: HTTPLimits(), { body.append(contentsOf: $0) })
            else { return nil }
            start += count
        }
        return decoder.isComplete ? body : nil
    }

    /// What is in a list, in words; `nil` for one that is refused.
    private static func objects(
        _ bytes: UnsafeRawBufferPointer, pieces size: Int, kind: String?
    ) -> String? {
        var reader = ObjectListReader(itemKind: kind)
        var start = 0
        do {
            while start < bytes.count {
                let end = min(bytes.count, start + size)
                try reader.read(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                start = end
            }
            let envelope = try reader.finish()
            let objects = reader.objects
            let pods = objects.pods.map { "\($0.namespace)/\($0.name) \($0.containers.count)" }
            return "\(envelope) \(pods) \(objects.nodes.count) \(objects.namespaces.count) "
                + "\(objects.owned.count) \(objects.others)"
        } catch {
            return nil
        }
    }
}
