import Foundation
import TestSupport
import Testing

/// carbon and whisper, as Debian has them.
enum CarbonServer {
    static var isThere: Bool {
        BackendServer.has("carbon-cache") && BackendServer.has("whisper-fetch")
    }

    /// Lines over TCP and UDP at the server's port; ten seconds a point, for an hour.
    static func start() throws -> BackendServer {
        let path = try #require(BackendServer.find("carbon-cache"))
        return try BackendServer(path) { folder, port in
            let configuration = """
                [cache]
                STORAGE_DIR = \(folder.path)/
                CONF_DIR = \(folder.path)/
                LOG_DIR = \(folder.path)/
                PID_DIR = \(folder.path)/
                LOCAL_DATA_DIR = \(folder.path)/whisper/
                USER =
                MAX_CACHE_SIZE = inf
                MAX_UPDATES_PER_SECOND = 100000
                MAX_CREATES_PER_MINUTE = inf
                LINE_RECEIVER_INTERFACE = 127.0.0.1
                LINE_RECEIVER_PORT = \(port)
                PICKLE_RECEIVER_PORT = 0
                CACHE_QUERY_INTERFACE = 127.0.0.1
                CACHE_QUERY_PORT = \(try LoopbackListener.freePort())
                ENABLE_UDP_LISTENER = True
                UDP_RECEIVER_INTERFACE = 127.0.0.1
                UDP_RECEIVER_PORT = \(port)
                """
            try Data(configuration.utf8).write(to: folder.appendingPathComponent("carbon.conf"))
            try Data("[all]\npattern = .*\nretentions = 10s:1h\n".utf8).write(
                to: folder.appendingPathComponent("storage-schemas.conf"))
            return [
                "--config=\(folder.path)/carbon.conf", "--pidfile=\(folder.path)/pid", "--nodaemon",
                "start",
            ]
        }
    }

    /// The values of a path's file since a cycle, milliseconds since the epoch; those that are not there
    /// are left out.
    static func values(
        _ server: BackendServer, _ path: String, since cycle: Int64
    ) throws -> [Double] {
        let file = path.replacing(".", with: "/")
        return try SinksServerTests.output(
            "/usr/bin/whisper-fetch",
            ["--from=\(cycle / 1_000 - 10)", "\(server.folder.path)/whisper/\(file).wsp"]
        ).split(separator: "\n").compactMap {
            $0.split(separator: "\t").last.flatMap { Double($0) }
        }
    }
}
