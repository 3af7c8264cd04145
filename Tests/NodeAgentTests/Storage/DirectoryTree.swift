import Foundation
import TestSupport
import Testing

/// Files of every kind in a directory of a test's own.
struct DirectoryTree {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/tree" }

    /// - Parameter fileCount: files beside directories, links and names of links.
    init(seed: UInt64, fileCount: Int) throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var random = SeededRandom(seed: seed)
        var directories = [path]
        var files: [String] = []
        for number in 0..<fileCount {
            let parent = directories[Int.random(in: 0..<directories.count, using: &random)]
            let name = "\(parent)/\(number)"
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1:
                mkdir(name, 0o755)
                directories.append(name)
            case 2: symlink("/proc", name)
            case 3: symlink(path, name)
            case 4 where !files.isEmpty:
                link(files[Int.random(in: 0..<files.count, using: &random)], name)
            case 5:
                // Long by its length, short by its blocks.
                try Data([1]).write(to: URL(fileURLWithPath: name))
                truncate(name, 1 << 30)
                files.append(name)
            default:
                let byteCount = Int.random(in: 0..<40_000, using: &random)
                try Data(repeating: 7, count: byteCount).write(to: URL(fileURLWithPath: name))
                files.append(name)
            }
        }
    }

    /// What `du` says: bytes in blocks, and inodes.
    func du() throws -> (byteCount: Int64, inodeCount: Int64) {
        func number(_ option: String) throws -> Int64 {
            let text = try run("/usr/bin/du", ["-s", option, path])
            return try #require(text.split(separator: "\t").first.flatMap { Int64($0) })
        }
        return (try number("--block-size=1"), try number("--inodes"))
    }
}
