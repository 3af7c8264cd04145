// swift-tools-version: 6.2
import PackageDescription

/// Every target: Swift 6 language mode (from the tools version), warnings are errors.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// With HEAPWIRE_FUZZ in the environment `Wire` is built for libFuzzer and there is `fuzz-frame`.
let isFuzzing = Context.environment["HEAPWIRE_FUZZ"] != nil
let fuzzed: [SwiftSetting] =
    isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer", "-parse-as-library"])] : []

/// Allocations can be counted from outside in a dynamic executable only (`make test-allocations`).
let agentLinkerSettings: [LinkerSetting] =
    Context.environment["HEAPWIRE_DYNAMIC_AGENT"] == nil
    ? [.unsafeFlags(["-static-executable"], .when(configuration: .release))] : []

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

        .target(name: "Wire", dependencies: ["CLinux"], swiftSettings: strict + fuzzed),
        // TLS above Wire's transport, apart so that who needs none does not carry OpenSSL.
        .target(name: "WireTLS", dependencies: ["Wire", "COpenSSL"], swiftSettings: strict),
        .executableTarget(
            name: "NodeAgent", dependencies: ["Wire", "WireTLS", "CLinux"], swiftSettings: strict,
            // One static file of few megabytes; sanitizers cannot link it, so release only.
            linkerSettings: agentLinkerSettings),
        .executableTarget(
            name: "Aggregator",
            dependencies: [
                "Wire", "WireTLS", "COpenSSL", "CLinux", "CZlib", "CSnappy", "CLZ4", "CZstd",
            ],
            swiftSettings: strict),

        // Stands in for a cluster's agents; not part of what is deployed.
        .executableTarget(
            name: "heapwire-fleet", dependencies: ["Wire", "WireTLS"], path: "Benchmarks/Fleet",
            swiftSettings: strict),

        // Not a product: what the codec and others make of recorded samples. See docs/wire.md.
        .executableTarget(
            name: "bench-wire", dependencies: ["Wire", "CZlib"], path: "Benchmarks/Wire",
            swiftSettings: strict),

        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        // What an input of the frame decoder's fuzzer does; the tests replay the kept ones.
        .target(
            name: "FrameFuzzing", dependencies: ["Wire"], path: "Tests/Fuzz/Input",
            swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["Wire", "FrameFuzzing", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "WireTLSTests", dependencies: ["Wire", "WireTLS", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "NodeAgentTests", dependencies: ["NodeAgent", "Wire", "TestSupport"],
            exclude: ["fixture_oracle.py"],
            swiftSettings: strict),
        .testTarget(
            name: "AggregatorTests",
            dependencies: ["Aggregator", "Wire", "WireTLS", "TestSupport"],
            exclude: ["HTTP/tls_server.py"],
            swiftSettings: strict),
        // Both programs in one process, over a link that does everything wrong.
        .testTarget(
            name: "SimulationTests",
            dependencies: ["NodeAgent", "Aggregator", "Wire", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests",
            dependencies: ["NodeAgent", "Aggregator", "Wire", "TestSupport"],
            exclude: ["fault_proxy.py", "line_receiver.py"],
            swiftSettings: strict),
        .testTarget(name: "TidyTests", dependencies: ["TestSupport"], swiftSettings: strict),
    ]
)

if isFuzzing {
    // The session's two halves are in the programs, which are libraries here.
    package.products = []
    package.targets.removeAll { $0.type == .test }
    for (name, main) in [("NodeAgent", "NodeAgent.swift"), ("Aggregator", "Aggregator.swift")] {
        guard let index = package.targets.firstIndex(where: { $0.name == name }) else { continue }
        package.targets[index] = .target(
            name: name, dependencies: package.targets[index].dependencies,
            path: "Sources/\(name)", exclude: [main],
            swiftSettings: strict + fuzzed + [.unsafeFlags(["-enable-testing"])])
    }
    package.targets += [
        .target(name: "FuzzDriver", path: "Tests/Fuzz/Driver", swiftSettings: strict),
        .executableTarget(
            name: "fuzz-frame", dependencies: ["Wire", "FrameFuzzing", "FuzzDriver"],
            path: "Tests/Fuzz/Frame", exclude: ["corpus"], swiftSettings: strict + fuzzed,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]),
        .executableTarget(
            name: "fuzz-text", dependencies: ["Wire", "Aggregator", "FuzzDriver"], path: "Tests",
            sources: ["Fuzz/Text/FuzzText.swift", "AggregatorTests/Text/TextFuzzInput.swift"],
            swiftSettings: strict + fuzzed,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]),
        .executableTarget(
            name: "fuzz-session",
            dependencies: ["Wire", "NodeAgent", "Aggregator", "TestSupport", "FuzzDriver"],
            path: "Tests",
            sources: [
                "Fuzz/Session/FuzzSession.swift", "SimulationTests/SessionFuzzInput.swift",
                "SimulationTests/SessionFuzzSeeds.swift", "SimulationTests/SessionSimulation.swift",
                "SimulationTests/SessionSimulation+Model.swift",
                "SimulationTests/SimulatedNode.swift",
            ],
            swiftSettings: strict + fuzzed,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]),
    ]
}

// With HEAPWIRE_BENCH_SINKS the only tests are the measurements of encoders: all of them take long to optimise.
if Context.environment["HEAPWIRE_BENCH_SINKS"] != nil {
    package.targets.removeAll { $0.type == .test }
    package.targets.append(
        .testTarget(
            name: "AggregatorTests", dependencies: ["Aggregator", "Wire"],
            exclude: ["HTTP/tls_server.py"], sources: ["Sinks/SinksBenchmarks.swift"],
            swiftSettings: strict))
}
