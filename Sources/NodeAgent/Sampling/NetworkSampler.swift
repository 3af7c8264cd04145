import Glibc
import Wire

/// Samples network interfaces: the node's, and each pod's once per network namespace.
///
/// `/proc/<pid>/net/dev` shows the namespace of the process, whoever reads it, and a kept descriptor
/// shows it for as long as it is kept, so one process of a pod is asked once. A pod in the
/// node's own namespace has no interfaces of its own and repeats nothing.
final class NetworkSampler {
    /// The columns of an interface after its read offset, and of the node's sum.
    static let counterFields: [SchemaField] = [
        .init(.networkReceiveBytes), .init(.networkReceivePackets), .init(.networkReceiveErrors),
        .init(.networkReceiveDropped), .init(.networkTransmitBytes),
        .init(.networkTransmitPackets), .init(.networkTransmitErrors),
        .init(.networkTransmitDropped),
    ]
    private static let interfaceFields = [SchemaField(.readOffset)] + counterFields

    static func write(_ counters: InterfaceCounters, to columns: UnsafeMutablePointer<Int64>) {
        columns[0] = counters.receiveBytes
        columns[1] = counters.receivePackets
        columns[2] = counters.receiveErrors
        columns[3] = counters.receiveDropped
        columns[4] = counters.transmitBytes
        columns[5] = counters.transmitPackets
        columns[6] = counters.transmitErrors
        columns[7] = counters.transmitDropped
    }

    /// A network namespace and the interfaces in it.
    private struct Namespace {
        let owner: Slot
        let identity: Identity
        let isNode: Bool
        var file: NodeFile
        var interfaces: [Interface] = []
        var hasNewInterfaces = false
    }

    private struct Interface {
        let name: [UInt8]
        let slot: Slot
        /// The node's own traffic, not a pod's seen from outside and not the same bytes again.
        let isCounted: Bool
        var isSeen = true
    }

    /// What tells network namespaces apart: the number of the `net` namespace, or, for who may not
    /// read that link, of the inode of `net/dev`, which every namespace has its own of.
    struct Identity: Equatable {
        var number: UInt64
        var isLink: Bool
    }

    private let files: HostFiles
    private let proc: String
    private let nodeDirectory: String
    private let nodeFile: NodeFile?
    private var namespaces: [Namespace] = []
    private(set) var hasChanges = false

    /// - Parameter nodeDirectory: `net` of a process in the node's own namespace.
    init(proc: String, nodeDirectory: String, files: HostFiles) {
        self.proc = proc
        self.nodeDirectory = nodeDirectory
        self.files = files
        nodeFile = NodeFile(nodeDirectory + "/dev", files, extent: .records)
    }

    /// Whether the node's own interfaces can be read.
    var readsNode: Bool { nodeFile != nil }

    deinit { for namespace in namespaces { namespace.file.close(files) } }

    /// `net` of process 1, which is in the node's namespace where `/proc` is the host's; of this
    /// process where there is no process 1.
    static func nodeDirectory(proc: String, files: HostFiles) -> String {
        files.exists(proc + "/1/net/dev") ? proc + "/1/net" : proc + "/self/net"
    }

    func addNode(_ slot: Slot) {
        guard let nodeFile else { return }
        namespaces.append(
            Namespace(
                owner: slot, identity: Identity(number: 0, isLink: false), isNode: true,
                file: nodeFile, hasNewInterfaces: true))
        hasChanges = true
    }

    /// Finds the network namespace of a pod from one of its processes.
    ///
    /// - Returns: whether it is the node's; `nil` where the process is gone or cannot be told.
    func isHostNetwork(_ processID: Int32) -> Bool? {
        let directory = "\(proc)/\(processID)"
        for byLink in [true, false] {
            if let theirs = identity(of: directory, byLink: byLink),
                let ours = identity(of: String(nodeDirectory.dropLast(4)), byLink: byLink)
            {
                return theirs == ours
            }
        }
        return nil
    }

    private func identity(of process: String, byLink: Bool) -> Identity? {
        if byLink {
            // `net:[4026531840]`
            guard let target = files.linkTarget(of: process + "/ns/net") else { return nil }
            return UInt64(target.drop { !$0.isNumber }.prefix { $0.isNumber })
                .map { Identity(number: $0, isLink: true) }
        }
        return files.status(of: process + "/net/dev")
            .map { Identity(number: $0.inode, isLink: false) }
    }

    /// Watches the interfaces of a pod in the namespace of one of its processes; keeps what it has
    /// where that is the namespace it knows.
    ///
    /// - Returns: whether the pod's interfaces are watched now.
    func set(_ processID: Int32, of pod: Slot, registry: inout SubjectRegistry) -> Bool {
        let directory = "\(proc)/\(processID)"
        guard
            let identity = identity(of: directory, byLink: true)
                ?? identity(of: directory, byLink: false)
        else { return false }
        if let index = namespaces.firstIndex(where: { $0.owner == pod }) {
            if namespaces[index].identity == identity { return true }
            remove(pod, registry: &registry)
        }
        guard let file = NodeFile(directory + "/net/dev", files, extent: .records) else {
            return false
        }
        namespaces.append(
            Namespace(
                owner: pod, identity: identity, isNode: false, file: file, hasNewInterfaces: true))
        hasChanges = true
        return true
    }

    /// Forgets a pod's interfaces, and lets its namespace go.
    func remove(_ pod: Slot, registry: inout SubjectRegistry) {
        guard let index = namespaces.firstIndex(where: { $0.owner == pod }) else { return }
        let namespace = namespaces.remove(at: index)
        namespace.file.close(files)
        for interface in namespace.interfaces { registry.remove(interface.slot) }
    }

    func has(_ pod: Slot) -> Bool { namespaces.contains { $0.owner == pod } }

    // MARK: Sampling

    /// Reads every namespace into the rows of its interfaces.
    ///
    /// - Returns: the sum over the node's own interfaces; `nil` where they cannot be read this time.
    func sample(
        into encoder: FrameEncoder, clock: SampleClock, start: Int64
    ) -> InterfaceCounters? {
        var sum: InterfaceCounters?
        for index in namespaces.indices {
            let offset = (clock.monotonicNanoseconds() - start) / 1_000_000
            let counted = read(index, into: encoder, offset: offset)
            if namespaces[index].isNode { sum = counted }
        }
        return sum
    }

    private func read(
        _ index: Int, into encoder: FrameEncoder, offset: Int64
    ) -> InterfaceCounters? {
        guard let text = namespaces[index].file.read(files) else { return nil }
        var sum = InterfaceCounters()
        for interface in namespaces[index].interfaces.indices {
            namespaces[index].interfaces[interface].isSeen = false
        }
        // Lines come in the order of the last time, so the next one is usually the right one.
        var expected = 0
        do {
            try NetDev.parse(text) { name, counters in
                guard let interface = find(name, in: index, from: expected) else {
                    if Self.isWanted(name, isNode: namespaces[index].isNode) {
                        namespaces[index].hasNewInterfaces = true
                        hasChanges = true
                    }
                    return
                }
                expected = interface + 1
                namespaces[index].interfaces[interface].isSeen = true
                let known = namespaces[index].interfaces[interface]
                if known.isCounted { sum = sum &+ counters }
                let row = encoder.row(of: known.slot)
                guard let columns = row.baseAddress, row.count == Self.interfaceFields.count else {
                    return
                }
                columns[0] = offset
                Self.write(counters, to: columns + 1)
            }
        } catch {
            files.note(.malformed(path: namespaces[index].file.path, error))
            // What was not reached is not gone.
            for interface in namespaces[index].interfaces.indices {
                namespaces[index].interfaces[interface].isSeen = true
            }
            return nil
        }
        if !namespaces[index].interfaces.allSatisfy(\.isSeen) { hasChanges = true }
        return sum
    }

    private func find(_ name: KernelText, in index: Int, from expected: Int) -> Int? {
        let count = namespaces[index].interfaces.count
        for step in 0..<count {
            let candidate = (expected + step) % count
            if namespaces[index].interfaces[candidate].name.elementsEqual(name) { return candidate }
        }
        return nil
    }

    // MARK: Interfaces that come and go

    /// Makes subjects of new interfaces and forgets those that are gone.
    ///
    /// - Returns: whether there are new ones, whose rows are still to be filled.
    func settle(registry: inout SubjectRegistry) -> Bool {
        guard hasChanges else { return false }
        hasChanges = false
        var hasNew = false
        for index in namespaces.indices {
            for interface in namespaces[index].interfaces.indices.reversed()
            where !namespaces[index].interfaces[interface].isSeen {
                registry.remove(namespaces[index].interfaces.remove(at: interface).slot)
            }
            guard namespaces[index].hasNewInterfaces else { continue }
            namespaces[index].hasNewInterfaces = false
            hasNew = addInterfaces(index, registry: &registry) || hasNew
        }
        return hasNew
    }

    private func addInterfaces(_ index: Int, registry: inout SubjectRegistry) -> Bool {
        guard let text = namespaces[index].file.read(files) else { return false }
        var names: [[UInt8]] = []
        let isNode = namespaces[index].isNode
        do {
            try NetDev.parse(text) { name, _ in
                if Self.isWanted(name, isNode: isNode), find(name, in: index, from: 0) == nil {
                    names.append(Array(name))
                }
            }
        } catch {
            files.note(.malformed(path: namespaces[index].file.path, error))
        }
        for name in names {
            let text = String(decoding: name, as: UTF8.self)
            let isCounted = isNode && name.withUnsafeBufferPointer(NodeInterfaces.isCounted)
            let subject = Subject(
                kind: .networkInterface, parent: namespaces[index].owner,
                attributes: [.name: text])
            guard let slot = registry.add(subject, fields: Self.interfaceFields) else { continue }
            namespaces[index].interfaces.append(
                Interface(name: name, slot: slot, isCounted: isCounted))
        }
        return !names.isEmpty
    }

    private static func isWanted(_ name: KernelText, isNode: Bool) -> Bool {
        isNode ? NodeInterfaces.isWanted(name) : !name.equals("lo")
    }
}
