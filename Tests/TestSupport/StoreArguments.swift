import Foundation

/// How the real stores are started that tests write to: their arguments, with a configuration in the
/// test's own folder and one port on loopback.
public enum StoreArguments {
    /// InfluxDB 1.
    ///
    /// - Parameters:
    ///   - http: further lines of its `[http]` section.
    ///   - data: further lines of its `[data]` section.
    public static func influxDB(
        in folder: URL, port: UInt16, http: String = "", data: String = ""
    ) throws -> [String] {
        let file = folder.appendingPathComponent("influx.conf")
        let configuration = """
            reporting-disabled = true
            bind-address = "127.0.0.1:\(try LoopbackListener.freePort())"
            [meta]
            dir = "\(folder.path)/meta"
            [data]
            dir = "\(folder.path)/data"
            wal-dir = "\(folder.path)/wal"
            query-log-enabled = false
            \(data)
            [http]
            bind-address = "127.0.0.1:\(port)"
            log-enabled = false
            \(http)
            """
        try Data(configuration.utf8).write(to: file)
        return ["run", "-config", file.path]
    }

    /// Prometheus that takes remote write and scrapes nothing.
    public static func prometheus(in folder: URL, port: UInt16) throws -> [String] {
        let file = folder.appendingPathComponent("prometheus.yml")
        try Data("global: {}\n".utf8).write(to: file)
        return [
            "--config.file=\(file.path)", "--storage.tsdb.path=\(folder.path)/data",
            "--web.listen-address=127.0.0.1:\(port)", "--web.enable-remote-write-receiver",
        ]
    }
}
