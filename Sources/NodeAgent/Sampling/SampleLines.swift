import Wire

/// One sample as lines for programs: subject, metric, value, tab-separated, in the catalogue's units;
/// what `--print-values` writes.
///
/// Subjects are `node`, `agent`, `pod UID`, `container UID ID`, `system PATH`, and for their parts
/// `OWNER | interface NAME`, `OWNER | disk NAME`, `OWNER | filesystem NAME`,
/// `OWNER | hugepages SIZE`. A last line of each, `start`, is its start in milliseconds since the
/// epoch, where it has one.
enum SampleLines {
    static func text(_ sampler: Sampler) -> String {
        let encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        let registry = sampler.registry
        var text = ""
        for slot in registry.liveSlots {
            guard let subject = registry.subject(of: slot), let schema = registry.schema(of: slot)
            else { continue }
            let name = Self.name(slot, registry)
            let row = encoder.row(of: slot)
            for (column, field) in schema.fields.enumerated() where column < row.count {
                guard let id = MetricID(rawValue: field.metric), id != .readOffset else { continue }
                text += "\(name)\t\(Catalog.metric(id).name)\t\(row[column])\n"
            }
            if subject.startTimeMilliseconds > 0 {
                text += "\(name)\tstart\t\(subject.startTimeMilliseconds)\n"
            }
        }
        return text
    }

    static func name(_ slot: Slot, _ registry: SubjectRegistry) -> String {
        guard let subject = registry.subject(of: slot) else { return "?" }
        let owner = subject.parent.map { name($0, registry) } ?? ""
        switch subject.kind {
        case .node: return "node"
        case .agent: return "agent"
        case .pod: return "pod \(subject.podUID)"
        case .container: return "container \(subject.podUID) \(subject.containerID)"
        case .systemContainer: return "system \(subject.name)"
        case .networkInterface: return "\(owner) | interface \(subject.name)"
        case .filesystem: return "\(owner) | filesystem \(subject.name)"
        case .blockDevice: return "\(owner) | disk \(subject.name)"
        case .hugePages: return "\(owner) | hugepages \(subject.name)"
        case .accelerator: return "\(owner) | accelerator \(subject.name)"
        }
    }
}
