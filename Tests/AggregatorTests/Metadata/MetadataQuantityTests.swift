import Foundation
import TestSupport
import Testing

@testable import Aggregator

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("0", 0, 0), ("1", 1, 1_000), ("100m", 1, 100), ("1500m", 2, 1_500), ("0.5", 1, 500),
            (".5", 1, 500), ("5.", 5, 5_000), ("1e3", 1_000, 1_000_000), ("1E3", 1_000, 1_000_000),
            ("12e-1", 2, 1_200), ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("1Ki", 1_024, 1_024_000),
            ("50M", 50_000_000, 50_000_000_000), ("128Mi", 134_217_728, 134_217_728_000),
            ("2k", 2_000, 2_000_000), ("1u", 1, 1), ("1n", 1, 1), ("100n", 1, 1), ("0.1n", 1, 1),
            ("+3", 3, 3_000), ("-3", -3, -3_000), ("-100m", -1, -100), ("-1n", -1, -1),
            ("0n", 0, 0),
            ("1e-1000", 1, 1), ("0e9999", 0, 0),
            ("1P", 1_000_000_000_000_000, 1_000_000_000_000_000_000),
            ("8388608Ki", 8_589_934_592, 8_589_934_592_000), ("3.8", 4, 3_800),
            ("9223372036854775807", .max, .max), ("7Ei", 8_070_450_532_247_928_832, .max),
            ("16Ei", .max, .max), ("1e999999999999", .max, .max), ("1000E", .max, .max),
            ("000000000000000000000000000000000000000000000001", 1, 1_000),
            ("99999999999999999999999999999999999999999999999", .max, .max),
            ("0.00000000000000000000000000000000000000000000001", 1, 1),
            ("1.00000000000000000000000000000000000000000000001", 2, 1_001),
        ] as [(String, Int64, Int64)]) func valuesAreRoundedUp(
            text: String, value: Int64, milli: Int64
        ) throws
    {
        let quantity = try #require(Quantity(text))
        #expect(quantity.value == value)
        #expect(quantity.milliValue == milli)
    }

    @Test(arguments: [
        "", "-", "+", ".", "m", "1mm", "1 ", " 1", "1.2.3", "1K", "1ki", "1mi", "1Mib", "1e", "1e+",
        "1e1x",
        "0x10", "1e1.5", "--1", "1i", "Ki", "é", "1é", "1,5", "NaN", "1KI", "1Zi",
    ]) func notQuantities(text: String) {
        #expect(Quantity(text) == nil)
    }

    /// The same arithmetic in decimal numbers of 38 digits.
    @Test func randomQuantitiesAgreeWithDecimalArithmetic() throws {
        var random = SeededRandom(seed: 11)
        let suffixes: [(String, Decimal)] = [
            ("", 1), ("m", Decimal(string: "0.001")!), ("k", 1_000), ("M", 1_000_000),
            ("Ki", 1_024),
            ("Mi", 1_048_576), ("Gi", 1_073_741_824), ("G", 1_000_000_000), ("e2", 100),
            ("e-2", Decimal(string: "0.01")!), ("u", Decimal(string: "0.000001")!),
        ]
        for _ in 0..<5_000 {
            let (suffix, factor) = random.element(suffixes)
            let digits = "\(random.below(100_000)).\(random.below(10_000))"
            let quantity = try #require(Quantity(digits + suffix))
            let exact = try #require(Decimal(string: digits)) * factor
            #expect(quantity.value == Self.roundedUp(exact), "\(digits)\(suffix)")
            #expect(quantity.milliValue == Self.roundedUp(exact * 1_000), "\(digits)\(suffix)")
        }
    }

    private static func roundedUp(_ value: Decimal) -> Int64 {
        var (value, result) = (value, Decimal())
        NSDecimalRound(&result, &value, 0, .up)
        return NSDecimalNumber(decimal: result).int64Value
    }

    @Test func descriptionsReadBackTheSame() throws {
        for text in ["0", "100m", "1500m", "3", "2n", "1u", "-7m", "1Gi"] {
            let quantity = try #require(Quantity(text))
            #expect(Quantity(quantity.description) == quantity)
        }
        #expect(Quantity("1500m")?.description == "1500m")
    }

    @Test func randomBytesNeverTrap() {
        let alphabet = Array("0123456789.+-eEinumkMGTPKé\u{0}".utf8) + [0xFF]
        for seed in UInt64(0)..<20_000 {
            var random = SeededRandom(seed: seed)
            let bytes = (0..<random.below(24)).map { _ in random.element(alphabet) }
            let quantity = bytes.withUnsafeBytes { Quantity(utf8: $0) }
            if let quantity { #expect(Quantity(quantity.description) == quantity, "seed \(seed)") }
        }
    }
}

@Suite struct IdentifierTests {
    @Test(arguments: [
        "6d7e6a8e-1111-4222-8333-444455556666", "0123456789abcdef0123456789abcdef", "", "x",
        "6D7E6A8E-1111-4222-8333-444455556666", "6d7e6a8e-1111-4222-8333-44445555666g",
        "6d7e6a8e11114222-8333-444455556666---", "uid-default-web-0",
        "00000000-0000-0000-0000-000000000000",
        "6d7e6a8e-1111-4222-8333-4444555566667", "------------------------------------",
        "0123456789ABCDEF0123456789abcdef",
    ]) func textsRoundTripAndDiffer(text: String) {
        #expect(ObjectUID(text).description == text)
        #expect(ContainerID(text).description == text)
        #expect(ObjectUID(text) != ObjectUID(text + "0"))
    }

    @Test func containerIDsLoseTheirScheme() {
        let digits = String(repeating: "0a1f", count: 16)
        for (text, expected) in [
            ("containerd://\(digits)", digits), ("docker://\(digits)", digits), (digits, digits),
            ("cri-o://odd", "odd"), ("", ""), ("://", ""), (":/", ":/"), ("a:b://c", "c"),
        ] {
            let id = Array(text.utf8).withUnsafeBytes { ContainerID(statusText: $0) }
            #expect(id.description == expected)
        }
        #expect(ContainerID(digits) != ContainerID(digits.uppercased()))
        #expect(
            ContainerID(digits).fingerprint != ContainerID(String(digits.reversed())).fingerprint)
    }
}

@Suite struct InternerTests {
    @Test func equalTextsShareStorageAndDifferentOnesDoNot() {
        var interner = StringInterner(slotCount: 64)
        var random = SeededRandom(seed: 5)
        for _ in 0..<20_000 {
            let text = "a common prefix of more than fifteen bytes " + String(random.below(500))
            let made = Array(text.utf8).withUnsafeBytes { interner.string(utf8: $0) }
            #expect(made == text)
        }
        let text = Array("registry.example.com/team/image:v1.2.3".utf8)
        func address() -> Int {
            let made = text.withUnsafeBytes { interner.string(utf8: $0) }
            return made.utf8.withContiguousStorageIfAvailable { Int(bitPattern: $0.baseAddress) }
                ?? 0
        }
        #expect(address() == address() && address() != 0)
    }
}
