import Glibc
import Wire

/// A file of the node that is read at every step, from a kept descriptor where there is one to keep.
struct NodeFile {
    let path: String
    private let extent: HostFiles.Extent
    private(set) var descriptor: Int32

    /// - Returns: `nil` where the kernel does not have the file or does not show it.
    init?(_ path: String, _ files: HostFiles, extent: HostFiles.Extent = .single) {
        var descriptor = files.keep(path)
        // The node's files are opened once: what may pass is tried again at once.
        if descriptor < 0, KernelFileError.mayPass(-descriptor) { descriptor = files.keep(path) }
        guard descriptor >= 0 || descriptor == -EMFILE else {
            files.note(.cannotOpen(path: path, errno: -descriptor))
            return nil
        }
        self.path = path
        self.extent = extent
        self.descriptor = max(-1, descriptor)
    }

    /// The file's bytes; `nil`, counted, where it cannot be read this time.
    @inline(__always)
    func read(_ files: HostFiles) -> KernelText? {
        let count: Int
        if descriptor >= 0 {
            count = files.read(descriptor, extent)
        } else {
            let transient = files.open(path, "", "")
            guard transient >= 0 else {
                files.note(.cannotOpen(path: path, errno: -transient))
                return nil
            }
            count = files.read(transient, extent)
            files.closeTransient(transient)
        }
        if count >= 0 { return files.bytes(count) }
        files.note(.cannotRead(path: path, errno: Int32(-count)))
        return nil
    }

    /// The file's bytes, parsed; `nil`, counted, where that fails.
    @inline(__always)
    func parse<Value>(
        _ files: HostFiles, _ parser: (KernelText) throws(KernelTextError) -> Value
    ) -> Value? {
        guard let text = read(files) else { return nil }
        do {
            return try parser(text)
        } catch {
            files.note(.malformed(path: path, error))
            return nil
        }
    }

    func close(_ files: HostFiles) { files.closeKept(descriptor) }
}
