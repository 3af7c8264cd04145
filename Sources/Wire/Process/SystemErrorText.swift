import Glibc

/// The kernel's words for an error number, without the capital: `no such file or directory`.
public func systemErrorText(_ errno: Int32) -> String {
    let text = String(cString: strerror(errno))
    return text.prefix(1).lowercased() + text.dropFirst()
}
