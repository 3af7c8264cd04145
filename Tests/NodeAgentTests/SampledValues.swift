import Wire

@testable import NodeAgent

/// All values of a sampler's last step, under names that a reader of kernel files can make too.
struct SampledValues {
    /// By subject and metric: `container UID ID`, `cpu/usage`.
    private(set) var values: [Key: Int64] = [:]
    /// The subjects, by name.
    private(set) var subjects: [String: Subject] = [:]

    struct Key: Hashable, Comparable, CustomStringConvertible {
        var subject: String
        var metric: String
        var description: String { "\(subject) \(metric)" }
        static func < (a: Key, b: Key) -> Bool {
            (a.subject, a.metric) < (b.subject, b.metric)
        }
    }

    init(_ sampler: Sampler, _ encoder: FrameEncoder) {
        let registry = sampler.registry
        for slot in registry.liveSlots {
            guard let subject = registry.subject(of: slot), let schema = registry.schema(of: slot)
            else { continue }
            let name = Self.name(slot, registry)
            subjects[name] = subject
            let row = encoder.row(of: slot)
            for (column, field) in schema.fields.enumerated() {
                guard let id = MetricID(rawValue: field.metric), id != .readOffset else { continue }
                values[Key(subject: name, metric: Catalog.metric(id).name)] = row[column]
            }
        }
    }

    subscript(subject: String, metric: String) -> Int64? {
        values[Key(subject: subject, metric: metric)]
    }

    static func name(_ slot: Slot, _ registry: SubjectRegistry) -> String {
        guard let subject = registry.subject(of: slot) else { return "?" }
        let owner = subject.parent.map { name($0, registry) } ?? ""
        switch subject.kind {
        case .node: return "node"
        case .pod: return "pod \(subject.podUID)"
        case .container: return "container \(subject.podUID) \(subject.containerID)"
        case .systemContainer: return "system \(subject.name)"
        case .networkInterface: return "\(owner) | interface \(subject.name)"
        case .filesystem: return "\(owner) | filesystem \(subject.name)"
        case .blockDevice: return "\(owner) | disk \(subject.name)"
        case .hugePages: return "\(owner) | hugepages \(subject.name)"
        case .accelerator: return "\(owner) | accelerator \(subject.name)"
        case .agent: return "agent"
        }
    }
}

extension Sampler {
    /// A sampler of a captured tree and the encoder that it has filled once.
    static func sampling(
        _ tree: FixtureTree, groups: SampleGroups = .standard, clock: SampleClock = .system
    ) throws -> (Sampler, FrameEncoder) {
        var configuration = SamplerConfiguration()
        configuration.roots = HostRoots(
            proc: tree.proc, cgroup: tree.cgroup, sys: tree.sys, rootfs: tree.path)
        configuration.groups = groups
        let sampler = try Sampler(configuration, files: HostFiles(), clock: clock)
        let encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        return (sampler, encoder)
    }
}
