/// Sockets of a network namespace, from `/proc/<pid>/net/sockstat` and `sockstat6`. All gauges.
///
/// Source: net/ipv4/proc.c: lines `TCP: inuse 886 orphan 0 tw 623 alloc 886 mem 216`; memory is in
/// pages and, like `tw` and `orphan`, that of the whole machine.
struct SockStat: Equatable, Sendable {
    var socketsUsed: Int64 = 0
    var tcpInUse: Int64 = 0
    var tcpOrphan: Int64 = 0
    var tcpTimeWait: Int64 = 0
    var tcpAllocated: Int64 = 0
    var tcpMemoryPages: Int64 = 0
    var udpInUse: Int64 = 0
    var udpMemoryPages: Int64 = 0

    /// - Throws: `missing` without a `TCP:` line.
    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        var hasTCP = false
        while !scanner.isAtEnd {
            if scanner.consume("sockets: ") {
                try Self.fields(&scanner) { if $0.equals("used") { socketsUsed = $1 } }
            } else if scanner.consume("TCP: ") {
                hasTCP = true
                try Self.fields(&scanner) { tcpField($0, $1) }
            } else if scanner.consume("UDP: ") {
                try Self.fields(&scanner) {
                    if $0.equals("inuse") { udpInUse = $1 }
                    if $0.equals("mem") { udpMemoryPages = $1 }
                }
            } else {
                try scanner.skipLine()
            }
        }
        guard hasTCP else { throw .missing("TCP") }
    }

    private mutating func tcpField(_ key: KernelText, _ value: Int64) {
        if key.equals("inuse") { tcpInUse = value }
        if key.equals("orphan") { tcpOrphan = value }
        if key.equals("tw") { tcpTimeWait = value }
        if key.equals("alloc") { tcpAllocated = value }
        if key.equals("mem") { tcpMemoryPages = value }
    }

    /// The `key value` pairs up to the end of the line.
    @inline(__always)
    fileprivate static func fields(
        _ scanner: inout KernelScanner, _ body: (KernelText, Int64) -> Void
    ) throws(KernelTextError) {
        while scanner.next != Ascii.newline {
            let key = scanner.word()
            guard !key.isEmpty else { throw .malformed(what: "socket", offset: scanner.offset) }
            body(key, try scanner.column())
            scanner.skipBlanks()
        }
        try scanner.expectNewline()
    }
}

/// The same for IPv6: `TCP6: inuse 2`.
struct SockStat6: Equatable, Sendable {
    var tcpInUse: Int64 = 0
    var udpInUse: Int64 = 0

    /// - Throws: `missing` without a `TCP6:` line.
    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        var hasTCP = false
        while !scanner.isAtEnd {
            if scanner.consume("TCP6: ") {
                hasTCP = true
                try SockStat.fields(&scanner) { if $0.equals("inuse") { tcpInUse = $1 } }
            } else if scanner.consume("UDP6: ") {
                try SockStat.fields(&scanner) { if $0.equals("inuse") { udpInUse = $1 } }
            } else {
                try scanner.skipLine()
            }
        }
        guard hasTCP else { throw .missing("TCP6") }
    }
}
