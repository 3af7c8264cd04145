import Foundation

/// Certificates made for one test run by the `openssl` command, which is not the code under test's
/// way to make them.
public final class TestCertificates: Sendable {
    public let folder: URL

    /// Two authorities (`ca`, `other`) and, signed by the first: `server` (localhost, 127.0.0.1),
    /// `expired` (the same names), `client` (user `alice`, groups `ops`, `dev`). Throws when there is
    /// no `openssl`.
    public init() throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-certificates-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in ["ca", "other"] {
            try run(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                    + "-keyout \(name).key -out \(name).pem -subj /CN=\(name)-authority")
        }
        let names = "subjectAltName=DNS:localhost,DNS:*.pods.example,IP:127.0.0.1,IP:::1"
        try sign("server", subject: "/CN=the-server", extensions: names, days: 2)
        try sign("expired", subject: "/CN=the-server", extensions: names, days: 0)
        try sign(
            "client", subject: "/CN=alice/O=ops/O=dev", extensions: "extendedKeyUsage=clientAuth",
            days: 2)
    }

    /// A further client certificate.
    ///
    /// - Parameter authority: `ca` or `other`.
    public func signClient(
        _ name: String, subject: String, authority: String = "ca", days: Int = 2
    ) throws {
        try sign(
            name, subject: subject, extensions: "extendedKeyUsage=clientAuth", days: days,
            authority: authority)
    }

    /// A further certificate for localhost of the first authority.
    public func signServer(_ name: String, subject: String) throws {
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        try sign(name, subject: subject, extensions: names, days: 2)
    }

    deinit {
        // A test's temporary folder that stays is no fault of the code under test.
        try? FileManager.default.removeItem(at: folder)
    }

    /// `server.pem`, `server.key`, `ca.pem`, …
    public func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    private func sign(
        _ name: String, subject: String, extensions: String, days: Int, authority: String = "ca"
    ) throws {
        let file = folder.appendingPathComponent("\(name).ext")
        try Data(extensions.utf8).write(to: file)
        try run(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                + "-keyout \(name).key -out \(name).csr -subj \(subject)")
        try run(
            "x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority).key "
                + "-CAcreateserial "
                + "-days \(days) -out \(name).pem -extfile \(name).ext")
    }

    private func run(_ arguments: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = folder
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.start()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw CocoaError(.executableLoad)
        }
    }
}
