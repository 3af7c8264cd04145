import Foundation
import TestSupport
import Testing
import Wire

/// The page `docs/wire.md` against the code: a decoder in another language, written from the page,
/// decodes what the encoder wrote.
@Suite struct FramePythonTests {
    @Test func aDecoderWrittenFromThePageAgrees() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let script = tests.appending(path: "wire_decoder.py")
        let python = "/usr/bin/env"
        let file = FileManager.default.temporaryDirectory
            .appending(path: "wire-frames-\(ProcessInfo.processInfo.processIdentifier).txt")
        defer { unlink(file.path) }
        for seed in 50...52 as ClosedRange<UInt64> {
            let (text, count) = try recording(seed: seed)
            try text.write(to: file, atomically: true, encoding: .utf8)
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(filePath: python)
            process.arguments = ["python3", script.path, file.path]
            process.standardOutput = output
            process.standardError = output
            try process.start()
            let said = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            if process.terminationStatus == 127 {
                print("skipped: no python3")
                return
            }
            let words = String(decoding: said, as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(words == "\(count)", "seed \(seed)")
        }
    }

    @Test func aDecoderWrittenFromThePageSeesAWrongValue() throws {
        // The oracle itself: one changed value must not go unnoticed.
        let (text, _) = try recording(seed: 53)
        var lines = text.split(separator: "\n").map(String.init)
        let last = try #require(lines.lastIndex { $0.hasPrefix("V ") })
        lines[last] += "1"
        let file = FileManager.default.temporaryDirectory
            .appending(path: "wire-wrong-\(ProcessInfo.processInfo.processIdentifier).txt")
        defer { unlink(file.path) }
        try lines.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
        let process = Process()
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", tests.appending(path: "wire_decoder.py").path, file.path]
        process.standardError = Pipe()
        try process.start()
        process.waitUntilExit()
        #expect(process.terminationStatus != 0)
    }

    /// Frames and what they say, and how many things a decoder has to compare.
    private func recording(seed: UInt64) throws -> (String, Int) {
        var world = FrameWorld(seed: seed, slotEnd: 30)
        let encoder = FrameEncoder()
        var lines: [String] = []
        var count = 0
        for frame in 0..<50 {
            let changes =
                (frame == 0 ? world.schemaChanges : []) + world.churn(oneIn: frame == 0 ? 2 : 30)
            for change in changes { try encoder.apply(change) }
            var dictionary: [UInt8] = []
            DictionaryCodec.encode(changes, into: &dictionary)
            lines.append("D " + hexadecimal(dictionary))
            for case .add(let slot, _, let subject) in changes
            where world.subjects[slot]?.subject == subject {
                for (attribute, text) in subject.attributes {
                    let bytes = hexadecimal(Array(text.utf8))
                    lines.append("A \(slot) \(attribute.rawValue) \(bytes)")
                    count += 1
                }
            }
            world.advance()
            world.fill(encoder)
            let header = world.nextHeader(isKey: frame == 0 || frame == 37)
            lines.append("F " + hexadecimal(encoder.encode(header)))
            lines.append(
                "H \(header.sequence) \(header.stepMilliseconds) \(header.readDelayMilliseconds) "
                    + (header.isKey ? "1" : "0"))
            for (slot, row) in world.values {
                lines.append("V \(slot) " + row.map(String.init).joined(separator: " "))
                count += row.count
            }
        }
        return (lines.joined(separator: "\n") + "\n", count)
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { String(($0 >> 4), radix: 16) + String(($0 & 15), radix: 16) }.joined()
    }
}
