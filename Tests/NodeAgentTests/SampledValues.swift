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
            let name = SampleLines.name(slot, registry)
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
