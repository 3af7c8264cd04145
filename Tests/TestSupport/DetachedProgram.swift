import Foundation
import Glibc

/// Runs a program to its end and lets what it leaves in the background live.
///
/// Foundation's `Process` waits until everybody who inherited its descriptors has gone, servers in the
/// background among them. Here the program gets the log as its output and no other descriptor, and a
/// session of its own.
///
/// - Returns: the exit status; 128 and the signal for one that was killed.
public func runDetached(
    _ arguments: [String], environment: [String: String] = [:], in folder: URL, log: URL
) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(
        &actions, 1, log.path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // Closes what was inherited; `posix_spawn` itself cannot without GNU's extensions.
    let script = """
        for file in /proc/$$/fd/*; do n=${file##*/}; [ "$n" -gt 2 ] && eval "exec $n>&-"; done
        cd "$0" && exec setsid "$@"
        """
    let line = ["/bin/bash", "-c", script, folder.path] + arguments
    let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    var argv: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] =
        variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, line[0], &actions, nil, &argv, &envp)
    guard code == 0 else {
        throw RunningProgram.Failure(
            description: "\(arguments[0]): \(String(cString: strerror(code)))")
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
        guard errno == EINTR else {
            throw RunningProgram.Failure(description: "waitpid: \(errno)")
        }
    }
    let signal = status & 0x7F
    return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
}
