import Foundation

/// A scrape, read by the letter of the text format: what Prometheus forgives is a fault here.
struct ScrapedText {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    struct Sample: Equatable {
        let name: String
        let labels: [String: String]
        /// As written, for exact comparison.
        let value: String
        /// As written.
        let time: String?
    }

    private(set) var types: [String: String] = [:]
    private(set) var samples: [Sample] = []
    private(set) var hasEnd = false

    /// - Parameter openMetrics: by the rules of OpenMetrics: counters' samples end in `_total`,
    ///   their families do not, `# EOF` is last.
    init(_ bytes: [UInt8], openMetrics: Bool = false) throws {
        guard let text = String(bytes: bytes, encoding: .utf8), text.hasSuffix("\n") else {
            throw Fault(description: "not UTF-8, or no line end at the end")
        }
        var family = ""
        var type = ""
        var helped = Set<String>()
        var seen = Set<String>()
        // A carriage return and line feed would be one Character.
        for line in text.dropLast().unicodeScalars.split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            let line = String(line)
            guard !hasEnd else { throw Fault(description: "behind the end: \(line)") }
            if line == "# EOF" {
                hasEnd = true
            } else if line.hasPrefix("# HELP ") {
                family = String(line.dropFirst(7).prefix { $0 != " " })
                guard helped.insert(family).inserted else {
                    throw Fault(description: "\(family) a second time")
                }
                type = ""
            } else if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                guard words.count == 4, words[2] == family, type.isEmpty else {
                    throw Fault(description: line)
                }
                type = String(words[3])
                types[family] = type
            } else {
                let sample = try Self.sample(line)
                let isSuffixed = openMetrics && type == "counter"
                guard !type.isEmpty, sample.name == (isSuffixed ? family + "_total" : family)
                else { throw Fault(description: "not of \(family): \(line)") }
                let key = "\(sample.name) \(sample.labels.sorted { $0.key < $1.key })"
                guard seen.insert(key).inserted else { throw Fault(description: "twice: \(key)") }
                samples.append(sample)
            }
        }
        guard hasEnd == openMetrics else { throw Fault(description: "end: \(hasEnd)") }
    }

    private static func sample(_ line: String) throws -> Sample {
        var rest = line.unicodeScalars[...]
        func name() throws -> String {
            let name = rest.prefix {
                CharacterSet.alphanumerics.contains($0) && $0.isASCII || $0 == "_"
            }
            rest = rest.dropFirst(name.count)
            guard let first = name.first, !("0"..."9").contains(first) else {
                throw Fault(description: "name: \(line)")
            }
            return String(name)
        }
        func take(_ scalar: Unicode.Scalar) throws {
            guard rest.popFirst() == scalar else {
                throw Fault(description: "no \(scalar): \(line)")
            }
        }
        let metric = try name()
        var labels: [String: String] = [:]
        if rest.first == "{" {
            repeat {
                _ = rest.popFirst()
                let label = try name()
                try take("=")
                try take("\"")
                var value = String.UnicodeScalarView()
                while let scalar = rest.popFirst(), scalar != "\"" {
                    guard scalar == "\\" else {
                        value.append(scalar)
                        continue
                    }
                    switch rest.popFirst() {
                    case "n": value.append("\n")
                    case "\\": value.append("\\")
                    case "\"": value.append("\"")
                    default: throw Fault(description: "escape: \(line)")
                    }
                }
                guard labels.updateValue(String(value), forKey: label) == nil else {
                    throw Fault(description: "label twice: \(line)")
                }
            } while rest.first == ","
            try take("}")
        }
        try take(" ")
        let words = String(rest).split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 1 || words.count == 2,
            words.allSatisfy({ Double($0) != nil && !$0.isEmpty })
        else { throw Fault(description: "value: \(line)") }
        return Sample(
            name: metric, labels: labels, value: String(words[0]),
            time: words.count == 2 ? String(words[1]) : nil)
    }

    /// The samples of a family, by namespace, pod and container.
    func byContainer(_ name: String) -> [String: Sample] {
        var found: [String: Sample] = [:]
        for sample in samples where sample.name == name && sample.labels["container"] != nil {
            let labels = sample.labels
            let key = ["namespace", "pod", "container"].map { labels[$0] ?? "" }
            found[key.joined(separator: "/")] = sample
        }
        return found
    }

    func first(_ name: String, _ label: String, _ value: String) -> Sample? {
        samples.first { $0.name == name && $0.labels[label] == value }
    }
}
