/// The processors of the machine, from `/proc/cpuinfo`. Read for the hello only.
///
/// Source: arch/*/kernel/cpu/proc.c. Architectures differ; what one does not print is empty here.
struct CPUInfo: Equatable, Sendable {
    /// Logical CPUs: `processor` lines.
    var cpuCount = 0
    /// Distinct `physical id`s; 1 where the file has none.
    var socketCount = 0
    /// Whether the file says which CPU is on which core.
    var hasTopology = false
    /// Distinct pairs of `physical id` and `core id`; the CPUs where the file has none.
    var coreCount = 0
    /// The first `vendor_id`, or `CPU implementer` on ARM.
    var vendor = ""
    /// The first `model name`.
    var model = ""
    /// Thousandths of the first `cpu MHz`.
    var kilohertz: Int64 = 0

    init(parsing text: KernelText) {
        var sockets: Set<String> = []
        var cores: Set<String> = []
        var socket = ""
        for line in text.split(separator: Ascii.newline) {
            guard let colon = line.firstIndex(of: Ascii.colon) else { continue }
            let key = Self.trimmed(line[..<colon])
            let value = Self.trimmed(line[(colon + 1)...])
            switch key {
            case "processor":
                cpuCount += 1
                socket = ""
            case "physical id":
                socket = value
                sockets.insert(value)
            case "core id": cores.insert(socket + "/" + value)
            case "vendor_id", "CPU implementer": if vendor.isEmpty { vendor = value }
            case "model name": if model.isEmpty { model = value }
            case "cpu MHz": if kilohertz == 0 { kilohertz = Int64((Double(value) ?? 0) * 1_000) }
            default: break
            }
        }
        socketCount = max(1, sockets.count)
        hasTopology = !cores.isEmpty
        coreCount = cores.isEmpty ? cpuCount : cores.count
    }

    private static func trimmed(_ bytes: Slice<KernelText>) -> String {
        var bytes = bytes
        while let first = bytes.first, first == Ascii.space || first == Ascii.tab {
            bytes.removeFirst()
        }
        while let last = bytes.last, last == Ascii.space || last == Ascii.tab { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
