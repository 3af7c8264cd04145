// swift-tools-version: 6.2
import PackageDescription

/// Every target: Swift 6 language mode (from the tools version), warnings are errors.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "heapwire",
    products: [
        .executable(name: "heapwire-agent", targets: ["NodeAgent"]),
        .executable(name: "heapwire-aggregator", targets: ["Aggregator"]),
    ],
    dependencies: [],
    targets: [
        // Linux calls that Glibc's module lacks: header only.
        .systemLibrary(name: "CLinux"),
        // The operating system's zlib, for gzip.
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        // The operating system's compressors for sinks: remote write and Kafka.
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // The operating system's OpenSSL 3, for TLS.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),

        .target(name: "Wire", dependencies: ["CLinux"], swiftSettings: strict),
        // TLS above Wire's transport, apart so that who needs none does not carry OpenSSL.
        .target(name: "WireTLS", dependencies: ["Wire", "COpenSSL"], swiftSettings: strict),
        .executableTarget(
            name: "NodeAgent", dependencies: ["Wire", "CLinux"], swiftSettings: strict,
            // One static file of few megabytes; sanitizers cannot link it, so release only.
            linkerSettings: [
                .unsafeFlags(["-static-executable"], .when(configuration: .release))
            ]),
        .executableTarget(
            name: "Aggregator",
            dependencies: [
                "Wire", "WireTLS", "COpenSSL", "CLinux", "CZlib", "CSnappy", "CLZ4", "CZstd",
            ],
            swiftSettings: strict),

        // Stands in for a cluster's agents; not part of what is deployed.
        .executableTarget(
            name: "heapwire-fleet", dependencies: ["Wire"], path: "Benchmarks/Fleet",
            swiftSettings: strict),

        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["Wire", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "WireTLSTests", dependencies: ["Wire", "WireTLS", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "NodeAgentTests", dependencies: ["NodeAgent", "Wire", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "AggregatorTests",
            dependencies: ["Aggregator", "Wire", "WireTLS", "TestSupport"],
            swiftSettings: strict),
        // Both programs in one process, over a link that does everything wrong.
        .testTarget(
            name: "SimulationTests",
            dependencies: ["NodeAgent", "Aggregator", "Wire", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests", dependencies: ["NodeAgent", "Aggregator", "TestSupport"],
            swiftSettings: strict),
        .testTarget(name: "TidyTests", dependencies: ["TestSupport"], swiftSettings: strict),
    ]
)
