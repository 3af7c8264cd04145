import Foundation
import Testing

@testable import NodeAgent

@Suite struct HostFilesTests {
    private func write(_ text: some DataProtocol, _ directory: TemporaryDirectory) throws -> String
    {
        let path = directory.path + "/file"
        try Data(text).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func aFileIsReadWholeWhateverItsSize() throws {
        let directory = try TemporaryDirectory()
        for size in [
            0, 1, 2_047, 2_048, 4_095, 4_096, 65_535, 65_536, 65_537, 300_000,
            HostFiles.byteLimit - 1,
        ] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let path = try write(bytes, directory)
            let files = HostFiles()
            #expect(try files.read(path).elementsEqual(bytes), "\(size) bytes")
            for extent in [HostFiles.Extent.single, .records] {
                let descriptor = files.keep(path)
                for _ in 0..<2 {
                    #expect(files.read(descriptor, extent) == size, "\(size) bytes, \(extent)")
                    #expect(files.bytes(size).elementsEqual(bytes))
                }
                files.closeKept(descriptor)
            }
        }
    }

    @Test func aFileOverTheLimitIsAnErrorAndNeverCut() throws {
        let directory = try TemporaryDirectory()
        let path = try write([UInt8](repeating: 1, count: HostFiles.byteLimit), directory)
        let files = HostFiles()
        #expect(throws: KernelFileError.tooLarge(path: path, limit: HostFiles.byteLimit)) {
            _ = try files.read(path)
        }
        #expect(files.failureCount == 1)
        let descriptor = files.keep(path)
        #expect(files.read(descriptor, .single) == -Int(EFBIG))
    }

    @Test func absentIsNotBroken() throws {
        let files = HostFiles()
        #expect(throws: KernelFileError.cannotOpen(path: "/nonexistent/x", errno: ENOENT)) {
            _ = try files.read("/nonexistent/x")
        }
        #expect(files.failureCount == 0)
        // A directory can be opened and not read: broken.
        #expect(throws: KernelFileError.cannotRead(path: "/tmp", errno: EISDIR)) {
            _ = try files.read("/tmp")
        }
        #expect(files.failureCount == 1)
        #expect(files.takeNotices() == ["cannot read /tmp: Is a directory"])
        #expect(files.takeNotices().isEmpty)
    }

    @Test func aDenialIsSaidOnce() {
        let files = HostFiles()
        for _ in 0..<3 { files.noteDenial(of: "memory.stat", EACCES) }
        #expect(
            files.takeNotices() == [
                "cannot open memory.stat: Permission denied; its metrics are absent"
            ])
        files.noteDenial(of: "memory.stat", EACCES)
        #expect(files.takeNotices().isEmpty)
    }

    @Test func keptDescriptorsAreCountedAndLimited() throws {
        let directory = try TemporaryDirectory()
        let path = try write("1\n".utf8.map { $0 }, directory)
        let files = HostFiles(keptLimit: 2)
        let kept = [files.keep(path), files.keep(directory.path, "", "file")]
        #expect(kept.allSatisfy { $0 >= 0 })
        #expect(files.keep(path) == -EMFILE)
        files.closeKept(kept[0])
        #expect(files.keptCount == 1)
        let again = files.keep(path)
        #expect(again >= 0)
        files.closeKept(again)
        files.closeKept(kept[1])
        #expect(files.keptCount == 0)
    }

    @Test func pathsAreJoinedWithoutEmptyParts() throws {
        let directory = try TemporaryDirectory()
        _ = try write("1\n".utf8.map { $0 }, directory)
        let files = HostFiles()
        for (parent, path, name) in [
            (directory.path, "", "file"), (directory.path + "/file", "", ""),
            (
                (directory.path as NSString).deletingLastPathComponent,
                (directory.path as NSString).lastPathComponent, "file"
            ),
        ] {
            let descriptor = files.open(parent, path, name)
            #expect(descriptor >= 0)
            files.closeTransient(descriptor)
        }
        #expect(files.open(directory.path, "", "none") == -ENOENT)
        #expect(files.open(String(repeating: "a", count: 5_000), "", "") == -ENAMETOOLONG)
    }

    @Test func entriesAreListedWithTheirInodes() throws {
        let directory = try TemporaryDirectory()
        _ = try write([], directory)
        try FileManager.default.createDirectory(
            atPath: directory.path + "/below", withIntermediateDirectories: false)
        let files = HostFiles()
        let entries = try files.entries(of: directory.path).sorted { $0.name < $1.name }
        #expect(entries.map(\.name) == ["below", "file"])
        #expect(entries.map(\.isDirectory) == [true, false])
        #expect(entries[0].inode == files.status(of: directory.path + "/below")?.inode)
        #expect(files.subdirectories(of: directory.path).map(\.name) == ["below"])
        #expect(files.subdirectories(of: directory.path + "/none").isEmpty)
        #expect(files.failureCount == 0)
    }
}
