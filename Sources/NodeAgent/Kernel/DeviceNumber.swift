/// A block device's number, as the kernel prints it: `254:0`.
struct DeviceNumber: Hashable, Sendable, CustomStringConvertible {
    var major: UInt32
    var minor: UInt32

    /// Reads `major:minor`.
    @inline(__always)
    init(_ scanner: inout KernelScanner) throws(KernelTextError) {
        let major = try scanner.decimal()
        try scanner.expect(Ascii.colon, "device number")
        let minor = try scanner.decimal()
        guard major <= Int64(UInt32.max), minor <= Int64(UInt32.max) else {
            throw .malformed(what: "device number", offset: scanner.offset)
        }
        self.init(major: UInt32(major), minor: UInt32(minor))
    }

    init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    var description: String { "\(major):\(minor)" }
}
