import CZlib
import Glibc

/// A recording in the form of `samples/`: `unix_ms,container,metric,value`, gzip.
struct SampleFile {
    /// Everything with the same name in the second column, with its columns in the file's order.
    struct Subject {
        let name: String
        var metrics: [String] = []
        /// By metric, then by step.
        var values: [[Int64]] = []
    }

    private(set) var subjects: [Subject] = []
    /// The first subject's time of each step, milliseconds since the epoch.
    private(set) var times: [Int64] = []

    var stepCount: Int { times.count }
    var seriesCount: Int { subjects.reduce(0) { $0 + $1.metrics.count } }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// - Throws: `Failure` when the file cannot be read or a series lacks steps.
    init(path: String) throws(Failure) {
        let text = try Self.inflate(path)
        var subjectOfName: [String: Int] = [:]
        var metricOfName: [[String: Int]] = []
        var isFirst = true
        for line in text.split(separator: UInt8(ascii: "\n")) {
            defer { isFirst = false }
            if isFirst { continue }
            let fields = line.split(separator: UInt8(ascii: ","))
            guard fields.count == 4,
                let time = Int64(String(decoding: fields[0], as: UTF8.self)),
                let value = Int64(String(decoding: fields[3], as: UTF8.self))
            else {
                throw Failure(description: "cannot read \(String(decoding: line, as: UTF8.self))")
            }
            let name = String(decoding: fields[1], as: UTF8.self)
            let metric = String(decoding: fields[2], as: UTF8.self)
            let subject = subjectOfName[name] ?? subjects.count
            if subject == subjects.count {
                subjectOfName[name] = subject
                subjects.append(Subject(name: name))
                metricOfName.append([:])
            }
            let column = metricOfName[subject][metric] ?? subjects[subject].metrics.count
            if column == subjects[subject].metrics.count {
                metricOfName[subject][metric] = column
                subjects[subject].metrics.append(metric)
                subjects[subject].values.append([])
            }
            subjects[subject].values[column].append(value)
            if subject == 0, column == 0 { times.append(time) }
        }
        for subject in subjects {
            for (metric, values) in zip(subject.metrics, subject.values)
            where values.count != times.count {
                throw Failure(
                    description:
                        "\(subject.name) \(metric) has \(values.count) steps, not \(times.count)")
            }
        }
    }

    private static func inflate(_ path: String) throws(Failure) -> [UInt8] {
        guard let file = gzopen(path, "rb") else {
            throw Failure(description: "cannot open \(path)")
        }
        defer { gzclose(file) }
        var text: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = gzread(file, &block, UInt32(block.count))
            guard count >= 0 else { throw Failure(description: "cannot read \(path)") }
            if count == 0 { return text }
            text += block[..<Int(count)]
        }
    }
}
