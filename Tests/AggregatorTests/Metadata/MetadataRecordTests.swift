import Synchronization
import TestSupport
import Testing
import Wire

@testable import Aggregator

private typealias Make = MetadataMaker

/// Changes as bytes: what is written is what is read, and nothing else is believed.
struct MetadataRecordTests {
    // MARK: Random objects

    private static func text(_ random: inout SeededRandom) -> String {
        let texts = [
            "", "a", "app.kubernetes.io/name", "größe", "x/y:z",
            String(repeating: "long", count: 40),
            "0123456789abcdef0123456789abcdef",
        ]
        return texts.randomElement(using: &random) ?? ""
    }

    private static func uid(_ random: inout SeededRandom) -> ObjectUID {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: .text(["", "odd", "UPPER"].randomElement(using: &random) ?? "")
        case 1: .digest(random.next(), random.next())
        default: .uuid(random.next(), random.next())
        }
    }

    private static func amounts(_ random: inout SeededRandom) -> ResourceAmounts {
        var amounts = ResourceAmounts()
        if Bool.random(using: &random) {
            amounts.cpuMillicores = .random(in: -1...9_999, using: &random)
        }
        if Bool.random(using: &random) { amounts.memoryBytes = .max }
        if Bool.random(using: &random) { amounts.ephemeralStorageBytes = .min }
        for number in 0..<Int.random(in: 0..<3, using: &random) {
            amounts.others.append(.init(name: "vendor/r\(number)", value: Int64(number)))
        }
        return amounts
    }

    private static func pod(_ random: inout SeededRandom) -> Pod {
        var parts = Pod.Parts()
        parts.namespace = text(&random)
        parts.name = text(&random)
        parts.uid = uid(&random)
        parts.nodeName = text(&random)
        parts.labels = labels(&random)
        if Bool.random(using: &random) { parts.controller = owner(&random) }
        parts.startTimeMilliseconds = .random(in: .min ... .max, using: &random)
        parts.phase = Pod.Phase(rawValue: .random(in: 0...4, using: &random)) ?? .unknown
        parts.qosClass = Pod.QOSClass(rawValue: .random(in: 0...3, using: &random)) ?? .unknown
        parts.isHostNetwork = Bool.random(using: &random)
        parts.isTerminating = Bool.random(using: &random)
        if Bool.random(using: &random) { parts.configHash = uid(&random) }
        for _ in 0..<Int.random(in: 0..<4, using: &random) {
            var container = Pod.Container(name: text(&random), image: text(&random))
            container.resources = ContainerResources(
                requests: amounts(&random), limits: amounts(&random))
            container.id =
                Bool.random(using: &random)
                ? .none : .digest(random.next(), random.next(), random.next(), random.next())
            container.startedMilliseconds = .random(in: .min ... .max, using: &random)
            container.restartCount = .random(in: .min ... .max, using: &random)
            container.role =
                Pod.Container.Role(rawValue: .random(in: 0...3, using: &random)) ?? .regular
            container.isReady = Bool.random(using: &random)
            container.isRunning = Bool.random(using: &random)
            parts.containers.append(container)
        }
        return Pod(parts)
    }

    private static func labels(_ random: inout SeededRandom) -> LabelSet {
        LabelSet(
            (0..<Int.random(in: 0..<3, using: &random)).map {
                LabelSet.Label(key: "k\($0)", value: text(&random))
            })
    }

    private static func owner(_ random: inout SeededRandom) -> OwnerReference {
        OwnerReference(kind: text(&random), name: text(&random), uid: uid(&random))
    }

    private static func change(_ random: inout SeededRandom) -> MetadataChange {
        switch Int.random(in: 0..<12, using: &random) {
        case 0: return .podRemoved(uid(&random))
        case 1:
            var node = Node(name: text(&random), uid: uid(&random))
            node.labels = labels(&random)
            node.annotations = ["a": text(&random), "b": text(&random)]
            node.externalID = text(&random)
            node.internalIP = text(&random)
            node.externalIP = text(&random)
            node.hostnameAddress = text(&random)
            node.kubeletVersion = text(&random)
            node.isUnschedulable = Bool.random(using: &random)
            node.readiness = .unknown
            node.capacity = amounts(&random)
            node.allocatable = amounts(&random)
            return .node(node)
        case 2: return .nodeRemoved(name: text(&random))
        case 3: return .namespace(Namespace(name: text(&random), uid: uid(&random)))
        case 4: return .namespaceRemoved(name: text(&random))
        case 5:
            return .owned(
                OwnedObject(
                    kind: "Job", namespace: text(&random), name: text(&random), uid: uid(&random),
                    controller: Bool.random(using: &random) ? owner(&random) : nil))
        case 6: return .ownedRemoved(uid(&random))
        default: return .pod(pod(&random))
        }
    }

    private static func piece(seed: UInt64, count: Int) -> ([TimedChange], [UInt8]) {
        var random = SeededRandom(seed: seed)
        var encoder = MetadataEncoder()
        var changes: [TimedChange] = []
        for _ in 0..<count {
            let timed = TimedChange(
                time: .random(in: .min ... .max, using: &random), change: change(&random))
            changes.append(timed)
            encoder.append(timed)
        }
        return (changes, encoder.finish())
    }

    private static func decode(_ bytes: [UInt8]) throws(WireError) -> [TimedChange] {
        var decoder = MetadataDecoder()
        return try decode(bytes, &decoder)
    }

    private static func decode(
        _ bytes: [UInt8], _ decoder: inout MetadataDecoder
    ) throws(WireError) -> [TimedChange] {
        try bytes.span.bytes.withUnsafeBytes { bytes throws(WireError) in
            try decoder.decode(bytes)
        }
    }

    // MARK: Bytes

    @Test func whatIsWrittenIsRead() throws {
        for seed in UInt64(0)..<200 {
            let (changes, bytes) = Self.piece(seed: seed, count: Int(seed % 40))
            #expect(try Self.decode(bytes) == changes, "seed \(seed)")
        }
    }

    @Test func aPieceThatIsCutOffAnywhereIsRefused() throws {
        let (_, bytes) = Self.piece(seed: 7, count: 30)
        for count in bytes.indices {
            #expect(throws: WireError.self, "cut at \(count)") {
                try Self.decode(Array(bytes[..<count]))
            }
        }
        #expect(throws: WireError.self) { try Self.decode(bytes + [0]) }
    }

    /// A flipped bit is refused or gives other changes, which can be written and read again.
    @Test func flippedBitsAndRandomBytesNeverTrap() throws {
        let (_, bytes) = Self.piece(seed: 9, count: 12)
        var refused = 0
        var decoder = MetadataDecoder()
        for index in bytes.indices {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[index] ^= 1 << UInt8(bit)
                do throws(WireError) {
                    try Self.checkAgain(try Self.decode(flipped, &decoder), &decoder)
                } catch {
                    refused += 1
                }
            }
        }
        #expect(refused > bytes.count)
        for seed in UInt64(0)..<2_000 {
            var random = SeededRandom(seed: seed)
            let count = Int.random(in: 0..<300, using: &random)
            let noise =
                [MetadataEncoder.version]
                + (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            do throws(WireError) {
                try Self.checkAgain(try Self.decode(noise, &decoder), &decoder)
            } catch { continue }
        }
    }

    private static func checkAgain(
        _ changes: [TimedChange], _ decoder: inout MetadataDecoder
    ) throws(WireError) {
        var encoder = MetadataEncoder()
        for change in changes { encoder.append(change) }
        let again = try decode(encoder.finish(), &decoder)
        #expect(again == changes)
    }

    @Test func anotherVersionIsNamedAndUnknownKindsAreSkipped() throws {
        var (changes, bytes) = Self.piece(seed: 3, count: 1)
        bytes[0] = 9
        #expect(throws: WireError.unsupportedVersion(ours: 1, theirs: 9)) { try Self.decode(bytes) }
        // No strings, two changes: kind 200 with three bytes, and a namespace that went... by text 0.
        changes = try Self.decode([1, 1, 1, 0x61, 2, 200, 0, 3, 1, 2, 3, 6, 0, 1, 0])
        #expect(changes == [TimedChange(time: 0, change: .namespaceRemoved(name: "a"))])
    }

    // MARK: Whole directories

    /// A random history: the observer's record, and a snapshot of what it led to, make the same
    /// directory again, now and when windows end.
    @Test func aDirectoryIsTheSameAfterItsSnapshotAndAfterItsRecord() throws {
        for seed in UInt64(0)..<40 {
            var random = SeededRandom(seed: seed)
            let directory = PodDirectory(window: 50)
            let record = Mutex<[[UInt8]]>([])
            directory.setObserver { change, time in
                record.withLock { $0.append(MetadataEncoder.encode(change, time: time)) }
            }
            var now: Int64 = 1_000
            var gone = Set<Int>()
            var runs = 0
            for _ in 0..<150 {
                now += .random(in: 0..<4, using: &random)
                if let event = Self.event(&random, &gone, &runs) {
                    directory.apply(event, now: now)
                }
            }
            directory.expire(now: now)
            let fromSnapshot = PodDirectory(window: 50)
            var pieces: [[UInt8]] = []
            directory.takeSnapshot(now: now) { snapshot in
                snapshot.encode(pieceByteCount: 700) { pieces.append($0) }
            }
            #expect(pieces.count > 1)
            let fromRecord = PodDirectory(window: 50)
            for (other, all) in [(fromSnapshot, pieces), (fromRecord, record.withLock { $0 })] {
                var decoder = MetadataDecoder()
                for piece in all {
                    try piece.withUnsafeBytes { try other.restore($0, &decoder) }
                }
                #expect((other.restoredTime ?? 0) <= now && other.restoredTime != nil)
            }
            for later in [now, now + 20, now + 60] {
                for other in [fromSnapshot, fromRecord] {
                    other.expire(now: later)
                    Self.compare(other, directory, at: later, seed: seed)
                }
            }
        }
    }

    /// A UID never comes back after its pod has gone, nor does a container's ID.
    private static func event(
        _ random: inout SeededRandom, _ gone: inout Set<Int>, _ runs: inout Int
    ) -> MetadataChange? {
        let number = Int.random(in: 1..<25, using: &random)
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<6:
            guard !gone.contains(number) else { return nil }
            runs += 1
            return .pod(
                Make.pod(
                    number, name: "p\(number)", namespace: "ns\(number % 2)",
                    node: "n\(number % 3)", containers: [1_000 + runs, number],
                    cpu: Int64(number), labels: ["a": "\(number % 4)"],
                    controller: OwnerReference(
                        kind: "ReplicaSet", name: "rs\(number % 5)", uid: Make.uid(500 + number % 5)
                    )))
        case 6, 7:
            gone.insert(number)
            return .podRemoved(Make.uid(number))
        case 8:
            var node = Node(name: "n\(number % 3)", uid: Make.uid(900 + number))
            node.capacity.cpuMillicores = Int64(number)
            return .node(node)
        case 9: return .namespace(Namespace(name: "ns\(number % 2)", uid: Make.uid(800 + number)))
        case 10:
            return .owned(
                OwnedObject(
                    kind: "ReplicaSet", namespace: "ns", name: "rs\(number % 5)",
                    uid: Make.uid(500 + number % 5),
                    controller: OwnerReference(
                        kind: "Deployment", name: "d\(number % 5)", uid: Make.uid(600 + number % 5))
                ))
        default: return .ownedRemoved(Make.uid(500 + number % 5))
        }
    }

    private static func compare(
        _ a: PodDirectory, _ b: PodDirectory, at time: Int64, seed: UInt64
    ) {
        b.expire(now: time)
        #expect(a.counts == b.counts, "seed \(seed) at \(time)")
        #expect(Set(a.pods().map(\.uid)) == Set(b.pods().map(\.uid)), "seed \(seed)")
        #expect(Set(a.nodes().map(\.uid)) == Set(b.nodes().map(\.uid)), "seed \(seed)")
        #expect(Set(a.namespaces().map(\.uid)) == Set(b.namespaces().map(\.uid)), "seed \(seed)")
        for number in 1..<25 {
            let (x, y) = (a.pod(uid: Make.uid(number)), b.pod(uid: Make.uid(number)))
            #expect(x == y, "seed \(seed), pod \(number) at \(time)")
            if let x, let y { #expect(a.workload(of: x) == b.workload(of: y), "seed \(seed)") }
        }
        for number in Array(1..<25) + Array(1_000..<1_150) {
            let id = Make.containerID(number)
            #expect(
                a.container(id: id)?.pod == b.container(id: id)?.pod,
                "seed \(seed), container \(number) at \(time)")
        }
        for name in ["ns0", "ns1"] {
            #expect(a.totals(namespace: name) == b.totals(namespace: name), "seed \(seed)")
        }
    }

    /// 20,000 pods of 500 workloads: the size is what the documentation says.
    @Test func podsOfOneWorkloadAreSmall() {
        let directory = PodDirectory()
        for number in 1...20_000 {
            let workload = number / 40
            directory.apply(
                .pod(
                    Make.pod(
                        number, name: "web-\(workload)-7d4b9c7f5d-\(number)", namespace: "shop",
                        node: "node-\(number % 700)", containers: [2 * number, 2 * number + 1],
                        labels: ["app": "web-\(workload)", "pod-template-hash": "7d4b9c7f5d"],
                        controller: OwnerReference(
                            kind: "ReplicaSet", name: "web-\(workload)-7d4b9c7f5d",
                            uid: Make.uid(900_000 + workload)))), now: 1)
        }
        var byteCount = 0
        directory.takeSnapshot(now: 2) { $0.encode { byteCount += $0.count } }
        print("a snapshot of 20,000 pods takes \(byteCount / 20_000) bytes a pod")
        #expect(byteCount / 20_000 < 160)
    }
}
