import Foundation
import TestSupport
import Testing

/// The style guide as far as a program can check it.
@Suite struct TidyTests {
    private static let sources = Repository.files(under: "Sources", extensions: ["swift"])

    private func lines(_ path: String) throws -> [(number: Int, text: String)] {
        try Repository.text(path).components(separatedBy: "\n").enumerated()
            .map { ($0.offset + 1, $0.element) }
    }

    /// The line without comments and string literals, roughly.
    private func code(_ line: String) -> String {
        var text = line.replacing(/"(?:\\.|[^"\\])*"/, with: "\"\"")
        if let comment = text.range(of: "//") { text = String(text[..<comment.lowerBound]) }
        return text
    }

    @Test func sourcesAreFound() { #expect(Self.sources.count > 20) }

    @Test func nothingInTheSourcesCanTrapOnTheWorldsFaults() throws {
        for path in Self.sources {
            for line in try lines(path) {
                let code = code(line.text)
                for banned in [/\btry!/, /\btry\?/, /\bfatalError\(/, /\bas!/] {
                    #expect(!code.contains(banned), "\(path):\(line.number): \(line.text)")
                }
                #expect(
                    !code.contains(/[A-Za-z0-9_\)\]]!(?![=])(\.|\)|\]|,|\s|$)/),
                    "forced unwrap at \(path):\(line.number): \(line.text)")
            }
        }
    }

    @Test func nothingIsLeftForLater() throws {
        for path in Self.sources {
            for line in try lines(path) where line.text.contains(/\b(TODO|FIXME|XXX)\b/) {
                Issue.record("\(path):\(line.number): \(line.text)")
            }
        }
    }

    @Test func theAgentAndTheWireDoWithoutFoundationAndDispatch() throws {
        for path in Self.sources
        where path.hasPrefix("Sources/Wire/") || path.hasPrefix("Sources/NodeAgent/") {
            for line in try lines(path)
            where line.text.contains(/^\s*(@preconcurrency )?import (Foundation|Dispatch)/) {
                Issue.record("\(path):\(line.number): \(line.text)")
            }
        }
    }

    @Test func filesStayShortEnoughToBeReadInOneSitting() throws {
        // Tables may be longer than code.
        let tables: Set<String> = ["Sources/Wire/Catalog/Catalog+Metrics.swift"]
        for path in Self.sources where !tables.contains(path) {
            let count = try lines(path).count
            #expect(count <= 450, "\(path) has \(count) lines")
        }
    }

    @Test func thePackageHasNoDependencies() throws {
        let manifest = try Repository.text("Package.swift")
        #expect(!manifest.contains(/\.package\(/))
        #expect(manifest.contains("dependencies: []"))
    }

    @Test func noPathOfAParticularMachineIsInTheRepository() throws {
        let machine = ["", "work", "main"].joined(separator: "/")
        for folder in ["Sources", "Tests", "docs", "deploy", "Benchmarks", "scripts"] {
            for path in Repository.files(
                under: folder, extensions: ["swift", "md", "py", "sh", ""])
            {
                guard let text = try? Repository.text(path) else { continue }
                #expect(!text.contains(machine), "\(path) names a path of one machine")
            }
        }
    }

    /// Rooms use each other in one direction only; the tool that draws the picture checks it.
    @Test func arrowsGoTheDatasWay() throws {
        guard let shared = Repository.shared else {
            print("skipped: the structure tool is not beside the project")
            return
        }
        let forbidden = [
            "NodeAgent/Kernel -> NodeAgent/HostFiles", "NodeAgent/Kernel -> NodeAgent/Delivery",
            "NodeAgent/Sampling -> NodeAgent/Delivery", "Aggregator/Model -> Aggregator/API",
            "Aggregator/Model -> Aggregator/HTTP", "Aggregator/Model -> Aggregator/Ingest",
            "Aggregator/HTTP -> Aggregator/Model", "Wire/Catalog -> Wire/Frame",
            "Wire/Frame -> Wire/Session", "Wire/Frame -> Wire/Transport",
        ]
        let tool = shared.appendingPathComponent("tools/structure.py").path
        let result = try runProcess(
            "python3", [tool, "Sources"] + forbidden.flatMap { ["--forbid", $0] })
        #expect(result.status == 0, "\(result.output)")
        #expect(!result.output.contains("CIRCLE"), "\(result.output)")
    }
}
