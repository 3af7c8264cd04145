import Foundation
import TestSupport
import Testing

@testable import Aggregator

/// `docs/openapi.yaml` and the router name the same routes. That the answers are as it says is held by
/// `make test-schema`.
@Suite struct OpenAPIFileTests {
    /// `get /api/v1/model/nodes`, parameters by their names.
    private func described() throws -> [String] {
        let file = Repository.root.appendingPathComponent("docs/openapi.yaml")
        var found: [String] = []
        var path = ""
        var isInPaths = false
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            if let first = line.first, first != " " { isInPaths = line.hasPrefix("paths:") }
            guard isInPaths else { continue }
            if line.hasPrefix("  /"), line.hasSuffix(":") {
                path = String(line.dropFirst(2).dropLast())
            } else if let method = line.wholeMatch(of: /\ {4}(get|post|put|delete):/) {
                found.append("\(method.1) \(path)")
            }
        }
        return found
    }

    @Test func everyRouteIsDescribedAndEveryDescriptionIsARoute() throws {
        let directory = PodDirectory()
        let cluster = Cluster(configuration: ModelConfiguration(), facts: directory)
        var api = AggregatorAPI(
            cluster: cluster, ingest: IngestCounters(),
            metadata: MetadataMetrics(directory: directory, status: nil))
        api.allowsDebug = true
        let routes = api.router().routes.map { method, pattern in
            let path = pattern.replacing("...}", with: "}")
            return "\(method.name.description.lowercased()) \(path.isEmpty ? "/" : path)"
        }
        let described = try described()
        #expect(Set(described).count == described.count)
        let missing = Set(routes).subtracting(described).sorted()
        #expect(missing.isEmpty, "not in docs/openapi.yaml:\n\(missing.joined(separator: "\n"))")
        let unknown = Set(described).subtracting(routes).sorted()
        #expect(unknown.isEmpty, "no routes:\n\(unknown.joined(separator: "\n"))")
        #expect(routes.count > 50)
    }
}
