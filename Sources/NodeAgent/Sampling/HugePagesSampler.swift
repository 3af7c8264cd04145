import Wire

/// Samples huge pages per cgroup and size: a subject each.
///
/// Sizes that the node has no pages of, nor may get any, are left out unless asked for: every
/// cgroup would carry zeros for each.
/// Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files>,
/// <https://docs.kernel.org/admin-guide/cgroup-v1/hugetlb.html>.
final class HugePagesSampler {
    private struct Pages {
        let path: String
        let slot: Slot
        /// In the order of the row's columns after its read offset.
        let descriptors: [Int32]
    }

    private let files: HostFiles
    private let directory: String
    private let version: Int
    /// As the kernel writes them in file names: `2MB`, `1GB`.
    let sizes: [String]
    private var pages: [Pages] = []

    /// - Returns: `nil` where there is nothing to sample.
    init?(
        hierarchies: CgroupHierarchies, roots: HostRoots, groups: SampleGroups, files: HostFiles
    ) {
        guard groups.contains(.hugetlb), let directory = hierarchies.directory(of: .hugetlb) else {
            return nil
        }
        self.files = files
        self.directory = directory
        version = hierarchies.version
        sizes = Self.sizes(roots, files, all: groups.contains(.hugetlbUnused))
        if sizes.isEmpty { return nil }
    }

    deinit { for page in pages { close(page) } }

    /// `/sys/kernel/mm/hugepages/hugepages-2048kB`.
    private static func sizes(_ roots: HostRoots, _ files: HostFiles, all: Bool) -> [String] {
        let root = roots.sys + "/kernel/mm/hugepages"
        var sizes: [(kilobytes: Int64, name: String)] = []
        for entry in files.subdirectories(of: root) {
            let digits = entry.name.dropFirst("hugepages-".utf8.count).prefix { $0.isNumber }
            guard let kilobytes = Int64(digits), kilobytes > 0 else { continue }
            let counts = ["nr_hugepages", "nr_overcommit_hugepages"].map {
                Int64(files.line("\(root)/\(entry.name)/\($0)") ?? "0") ?? 0
            }
            if all || counts.contains(where: { $0 > 0 }) {
                sizes.append((kilobytes, name(kilobytes: kilobytes)))
            }
        }
        return sizes.sorted { $0.kilobytes < $1.kilobytes }.map(\.name)
    }

    /// mm/hugetlb_cgroup.c, `mem_fmt`.
    static func name(kilobytes: Int64) -> String {
        if kilobytes >= 1 << 20 { return "\(kilobytes >> 20)GB" }
        if kilobytes >= 1 << 10 { return "\(kilobytes >> 10)MB" }
        return "\(kilobytes)KB"
    }

    private func fileNames(_ size: String) -> [(metric: MetricID, name: String)] {
        version == 2
            ? [
                (.hugePagesUsage, "hugetlb.\(size).current"),
                (.hugePagesFailcnt, "hugetlb.\(size).events"),
                (.hugePagesLimit, "hugetlb.\(size).max"),
            ]
            : [
                (.hugePagesUsage, "hugetlb.\(size).usage_in_bytes"),
                (.hugePagesMaxUsage, "hugetlb.\(size).max_usage_in_bytes"),
                (.hugePagesFailcnt, "hugetlb.\(size).failcnt"),
                (.hugePagesLimit, "hugetlb.\(size).limit_in_bytes"),
            ]
    }

    /// Makes a subject per size of a cgroup that has the controller.
    func add(_ path: String, owner: Slot, registry: inout SubjectRegistry) {
        for size in sizes {
            var fields = [SchemaField(.readOffset)]
            var descriptors: [Int32] = []
            for (metric, name) in fileNames(size) {
                let descriptor = files.keep(directory, path, name)
                guard descriptor >= 0 else { continue }
                descriptors.append(descriptor)
                fields.append(SchemaField(metric))
            }
            let subject = Subject(kind: .hugePages, parent: owner, attributes: [.name: size])
            guard fields.count > 1, let slot = registry.add(subject, fields: fields) else {
                for descriptor in descriptors { files.closeKept(descriptor) }
                continue
            }
            pages.append(Pages(path: path, slot: slot, descriptors: descriptors))
        }
    }

    func remove(_ path: String, registry: inout SubjectRegistry) {
        for index in pages.indices.reversed() where pages[index].path == path {
            let page = pages.remove(at: index)
            close(page)
            registry.remove(page.slot)
        }
    }

    private func close(_ page: Pages) {
        for descriptor in page.descriptors { files.closeKept(descriptor) }
    }

    func sample(into encoder: FrameEncoder, clock: SampleClock, start: Int64) {
        for index in pages.indices {
            let row = encoder.row(of: pages[index].slot)
            guard row.count == pages[index].descriptors.count + 1 else { continue }
            row[0] = (clock.monotonicNanoseconds() - start) / 1_000_000
            for file in pages[index].descriptors.indices {
                let count = files.read(pages[index].descriptors[file], .single)
                // The cgroup's own files tell that it is gone.
                guard count >= 0 else { continue }
                do {
                    row[file + 1] = try Self.value(files.bytes(count))
                } catch {
                    files.countFailure()
                }
            }
        }
    }

    /// A number, a limit, or `max 3` in an events file.
    private static func value(_ text: KernelText) throws(KernelTextError) -> Int64 {
        var scanner = try KernelScanner(text)
        if scanner.consume("max ") { return try scanner.decimal() }
        return try SingleValue.parseLimit(text)
    }
}
