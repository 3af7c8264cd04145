/// Accept and Accept-Encoding (RFC 9110, 12.5). Quality values are thousandths.
enum HTTPNegotiation {
    enum ContentCoding: Equatable, Sendable { case identity, gzip, deflate }

    /// The coding to use: gzip or deflate if the client prefers it to nothing, gzip on a tie.
    static func contentCoding(of request: HTTPRequest) -> ContentCoding {
        var gzip: Int?
        var deflate: Int?
        var any: Int?
        request.forEachValue(of: "accept-encoding") { value in
            HTTPSyntax.forEachElement(value) { element in
                let (name, quality) = parameters(element)
                if HTTPSyntax.equals(name, ignoringCase: "gzip")
                    || HTTPSyntax.equals(name, ignoringCase: "x-gzip")
                {
                    gzip = quality
                } else if HTTPSyntax.equals(name, ignoringCase: "deflate") {
                    deflate = quality
                } else if HTTPSyntax.equals(name, ignoringCase: "*") {
                    any = quality
                }
            }
        }
        let gzipQuality = gzip ?? any ?? 0
        // A wildcard alone means "anything", for which gzip is enough.
        let deflateQuality = deflate ?? 0
        if gzipQuality > 0, gzipQuality >= deflateQuality { return .gzip }
        return deflateQuality > 0 ? .deflate : .identity
    }

    /// How much the client wants a media type: 0 not at all, 1000 most. Without an Accept field
    /// everything is as good. The most specific range that matches decides.
    ///
    /// - Parameter mediaType: `type/subtype` in lower case, without parameters.
    static func quality(of mediaType: StaticString, in request: HTTPRequest) -> Int {
        let wanted = UnsafeRawBufferPointer(
            start: mediaType.utf8Start, count: mediaType.utf8CodeUnitCount)
        var best = (specificity: -1, quality: 0)
        var hasField = false
        request.forEachValue(of: "accept") { value in
            HTTPSyntax.forEachElement(value) { element in
                hasField = true
                let (range, quality) = parameters(element)
                let specificity = specificity(of: range, for: wanted, mediaType)
                if specificity > best.specificity { best = (specificity, quality) }
            }
        }
        return hasField ? best.quality : 1_000
    }

    static func accepts(_ mediaType: StaticString, _ request: HTTPRequest) -> Bool {
        quality(of: mediaType, in: request) > 0
    }

    /// 2: the type itself, 1: `type/*`, 0: `*/*`, -1: no match.
    private static func specificity(
        of range: UnsafeRawBufferPointer, for wanted: UnsafeRawBufferPointer, _ name: StaticString
    ) -> Int {
        if HTTPSyntax.equals(range, ignoringCase: name) { return 2 }
        if HTTPSyntax.equals(range, ignoringCase: "*/*") { return 0 }
        // Old Java clients send a lone star.
        if HTTPSyntax.equals(range, ignoringCase: "*") { return 0 }
        guard range.count >= 2, range[range.count &- 1] == 0x2A, range.count <= wanted.count
        else { return -1 }
        for index in 0..<(range.count &- 1) {
            let byte = range[index]
            if (byte &- 0x41 < 26 ? byte | 0x20 : byte) != wanted[index] { return -1 }
        }
        return range[range.count &- 2] == 0x2F ? 1 : -1
    }

    /// Splits `name;a=b;q=0.5` into the name and the quality. A malformed quality counts as 1.
    private static func parameters(
        _ element: UnsafeRawBufferPointer
    ) -> (name: UnsafeRawBufferPointer, quality: Int) {
        var end = 0
        while end < element.count, element[end] != 0x3B { end &+= 1 }
        let name = HTTPSyntax.trimmed(UnsafeRawBufferPointer(rebasing: element[..<end]))
        var quality = 1_000
        guard end < element.count else { return (name, quality) }
        let rest = UnsafeRawBufferPointer(rebasing: element[(end &+ 1)...])
        HTTPSyntax.forEachElement(rest, separator: 0x3B) { parameter in
            guard parameter.count >= 3, parameter[0] | 0x20 == 0x71, parameter[1] == 0x3D else {
                return
            }
            quality = thousandths(UnsafeRawBufferPointer(rebasing: parameter[2...])) ?? 1_000
        }
        return (name, quality)
    }

    /// `0`, `0.` to `0.999`, `1`, `1.000`.
    private static func thousandths(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let first = bytes.first, first == 0x30 || first == 0x31, bytes.count <= 5 else {
            return nil
        }
        var value = Int(first &- 0x30) * 1_000
        guard bytes.count > 1 else { return value }
        guard bytes[1] == 0x2E else { return nil }
        var scale = 100
        for byte in bytes[2...] {
            guard HTTPSyntax.isDigit(byte) else { return nil }
            value += Int(byte &- 0x30) * scale
            scale /= 10
        }
        return min(value, 1_000)
    }
}
