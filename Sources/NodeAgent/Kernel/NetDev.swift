/// One network interface's counters, from `/proc/<pid>/net/dev`.
struct InterfaceCounters: Equatable, Sendable {
    var receiveBytes: Int64 = 0
    var receivePackets: Int64 = 0
    var receiveErrors: Int64 = 0
    var receiveDropped: Int64 = 0
    var transmitBytes: Int64 = 0
    var transmitPackets: Int64 = 0
    var transmitErrors: Int64 = 0
    var transmitDropped: Int64 = 0

    static func &+ (a: Self, b: Self) -> Self {
        Self(
            receiveBytes: a.receiveBytes &+ b.receiveBytes,
            receivePackets: a.receivePackets &+ b.receivePackets,
            receiveErrors: a.receiveErrors &+ b.receiveErrors,
            receiveDropped: a.receiveDropped &+ b.receiveDropped,
            transmitBytes: a.transmitBytes &+ b.transmitBytes,
            transmitPackets: a.transmitPackets &+ b.transmitPackets,
            transmitErrors: a.transmitErrors &+ b.transmitErrors,
            transmitDropped: a.transmitDropped &+ b.transmitDropped)
    }
}

/// The network interfaces of one network namespace.
///
/// Source: `/proc/<pid>/net/dev`, net/core/net-procfs.c: two lines of headings, then
/// `name: ` and sixteen columns, eight for each direction. The file shows the namespace of
/// the process in its path, so any process of a pod shows the pod's.
enum NetDev {
    /// Calls `body` with every interface's name and counters, in the file's order.
    ///
    /// - Throws: `missing` without the headings, `malformed` at the first other line that does
    ///   not have its sixteen columns.
    @inline(__always)
    static func parse(
        _ text: KernelText, _ body: (KernelText, InterfaceCounters) -> Void
    ) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        guard scanner.consume("Inter-|") else { throw .missing("heading") }
        try scanner.skipLine()
        try scanner.skipLine()
        while !scanner.isAtEnd {
            scanner.skipBlanks()
            let name = scanner.word(until: Ascii.colon)
            guard !name.isEmpty else { throw .malformed(what: "interface", offset: scanner.offset) }
            try scanner.expect(Ascii.colon, "interface")
            var counters = InterfaceCounters()
            counters.receiveBytes = try scanner.firstColumn()
            counters.receivePackets = try scanner.column()
            counters.receiveErrors = try scanner.column()
            counters.receiveDropped = try scanner.column()
            // fifo, frame, compressed, multicast.
            for _ in 0..<4 { _ = try scanner.column() }
            counters.transmitBytes = try scanner.column()
            counters.transmitPackets = try scanner.column()
            counters.transmitErrors = try scanner.column()
            counters.transmitDropped = try scanner.column()
            // fifo, colls, carrier, compressed.
            for _ in 0..<4 { _ = try scanner.column() }
            try scanner.expectNewline()
            body(name, counters)
        }
    }
}
