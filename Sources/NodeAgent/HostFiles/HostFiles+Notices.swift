import Glibc
import Wire

/// What is said of files that cannot be read: each kind of failure once, with its reason.
extension HostFiles {
    /// Counts a failure that a caller found by itself.
    func countFailure() { failureCount += 1 }

    /// Counts what is a failure, and keeps for the diagnostics what a user should hear of: the
    /// first failures, each text once until it was said.
    func note(_ error: KernelFileError) {
        if error.isAbsence { return }
        failureCount += 1
        if error.isDenial, case .cannotOpen(let path, let code) = error {
            return noteDenial(of: path, code)
        }
        notice(error.description)
    }

    /// Counts, unless it is absence, that a file of a cgroup cannot be opened or read, and says so
    /// once for each kind of file and reason. Allocates nothing but then.
    func noteFailure(of fileName: String, in path: String, _ code: Int32) {
        if KernelFileError.isAbsence(code) { return }
        if KernelFileError.isDenial(code) { return noteDenial(of: fileName, code) }
        failureCount += 1
        guard isFirst(fileName, code) else { return }
        let error = KernelFileError.cannotRead(path: path + "/" + fileName, errno: code)
        notice("\(error); its metrics stay as they are, and are absent if it lasts")
    }

    /// Counts a file of a cgroup that says what cannot be understood; said once for each kind.
    func note(_ fileName: String, in path: String, malformed error: KernelTextError) {
        failureCount += 1
        guard isFirst(fileName, 0) else { return }
        notice(KernelFileError.malformed(path: path + "/" + fileName, error).description)
    }

    /// Counts a directory that could not be walked to its end; each reason is said once.
    func noteWalk(_ path: String, _ code: Int32) {
        if KernelFileError.isAbsence(code) { return }
        if KernelFileError.isDenial(code) {
            return noteDenial(of: "directories to be walked", code)
        }
        failureCount += 1
        guard isFirst("walk", code) else { return }
        let error = KernelFileError.cannotRead(path: path, errno: code)
        notice("\(error); what it and others like it take is not measured")
    }

    /// Remembers that a kind of file is not shown to this user; said once.
    func noteDenial(of fileName: String, _ code: Int32) {
        guard isFirst(fileName, code) else { return }
        notice("\(KernelFileError.cannotOpen(path: fileName, errno: code)); its metrics are absent")
    }

    private func isFirst(_ fileName: String, _ code: Int32) -> Bool {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ UInt64(UInt32(bitPattern: code))
        for byte in fileName.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        guard saidFailures.count < 8 * Self.noticeLimit else { return false }
        return saidFailures.insert(hash).inserted
    }

    /// Keeps something for the diagnostics.
    func notice(_ text: String) {
        guard notices.count < Self.noticeLimit, !notices.contains(text) else { return }
        notices.append(text)
    }

    /// What is to be said since the last call.
    func takeNotices() -> [String] {
        if notices.isEmpty { return [] }
        defer { notices = [] }
        return notices
    }
}
