/// One mount, from `/proc/<pid>/mountinfo`. Read at start and when the mounts change, so it may
/// allocate.
///
/// Source: <https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts>.
/// Space, tab, newline and backslash are octal escapes in the file and plain here.
struct Mount: Equatable, Sendable {
    var device: DeviceNumber
    /// The directory of the filesystem that is mounted; `/` unless it is a bind mount.
    var root: String
    var mountPoint: String
    var filesystemType: String
    /// A device path or whatever the filesystem calls its source.
    var source: String
    /// Comma-separated options of the filesystem: `rw,cpuacct`, `lowerdir=…,upperdir=…`.
    var superOptions: String

    var superOptionList: [Substring] { superOptions.split(separator: ",") }
}

enum MountInfo {
    /// Every mount, in the file's order: a later one at the same place hides an earlier one.
    ///
    /// - Throws: `malformed` at the first line with too few fields.
    static func parse(_ text: KernelText) throws(KernelTextError) -> [Mount] {
        var mounts: [Mount] = []
        guard !text.isEmpty else { return mounts }
        var scanner = try KernelScanner(text)
        while !scanner.isAtEnd {
            mounts.append(try mount(&scanner))
        }
        return mounts
    }

    private static func mount(_ scanner: inout KernelScanner) throws(KernelTextError) -> Mount {
        // Mount number, parent's number.
        for _ in 0..<2 {
            _ = try scanner.decimal()
            try scanner.expect(Ascii.space, "mount")
        }
        let device = try DeviceNumber(&scanner)
        let root = try field(&scanner)
        let mountPoint = try field(&scanner)
        // Mount options, then any number of optional fields up to a lone dash.
        while try field(&scanner) != "-" {}
        let filesystemType = try field(&scanner)
        let source = try field(&scanner)
        // Super options may be missing in what old kernels print for a few filesystems.
        let superOptions = scanner.next == Ascii.space ? try field(&scanner) : ""
        try scanner.expectNewline()
        return Mount(
            device: device, root: root, mountPoint: mountPoint, filesystemType: filesystemType,
            source: source, superOptions: superOptions)
    }

    /// A blank and the field after it.
    private static func field(_ scanner: inout KernelScanner) throws(KernelTextError) -> String {
        try scanner.expect(Ascii.space, "mount field")
        return unescape(scanner.word())
    }

    /// Replaces `\040` and its like.
    static func unescape(_ text: KernelText) -> String {
        guard text.contains(Ascii.backslash) else { return text.string }
        var bytes: [UInt8] = []
        var index = 0
        while index < text.count {
            if text[index] == Ascii.backslash, index + 3 < text.count,
                text[(index + 1)...(index + 3)].allSatisfy({ $0 &- Ascii.zero < 8 })
            {
                let digits = text[(index + 1)...(index + 3)].map { $0 - Ascii.zero }
                bytes.append(
                    UInt8(
                        truncatingIfNeeded: Int(digits[0]) * 64 + Int(digits[1]) * 8
                            + Int(digits[2])))
                index += 4
            } else {
                bytes.append(text[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
