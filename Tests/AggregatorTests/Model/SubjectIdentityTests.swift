import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct SubjectIdentityTests {
    private let texts = [
        "", "a", "eth0", "abcdef", "ABCDEF", "0a1", "ünïcode", String(repeating: "x", count: 4_096),
        "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "0B1C2D3E-4f50-6172-8394-a5b6c7d8e9f0",
        "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f", "0b1c2d3e-4f50-6172-8394_a5b6c7d8e9f0",
        "------------------------------------", String(repeating: "0f", count: 32),
    ]

    @Test func everyAttributeIsGivenBackAsItCame() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<500 {
            var attributes: [Subject.Attribute: String] = [:]
            for number in UInt8(1)...20 where Bool.random(using: &random) {
                attributes[Subject.Attribute(rawValue: number)] =
                    texts[Int.random(in: 0..<texts.count, using: &random)]
            }
            let start = Int64.random(in: -5...5, using: &random)
            let identity = SubjectIdentity(
                Subject(kind: .pod, parent: 3, startTimeMilliseconds: start, attributes: attributes)
            )
            #expect(identity.kind == .pod)
            #expect(identity.startTimeMilliseconds == start)
            for number in UInt8(0)...25 {
                let attribute = Subject.Attribute(rawValue: number)
                #expect(identity[attribute] == attributes[attribute])
            }
        }
    }

    @Test func onlySubjectsThatSayTheSameAreEqual() {
        let all = texts.flatMap { text in
            [SubjectKind.pod, .container].flatMap { kind in
                [Int64(0), 1].map { start in
                    Subject(
                        kind: kind, startTimeMilliseconds: start,
                        attributes: [.name: text, .podUID: "u"])
                }
            }
        }
        for (index, one) in all.enumerated() {
            for (otherIndex, other) in all.enumerated() {
                let (first, second) = (SubjectIdentity(one), SubjectIdentity(other))
                #expect((first == second) == (index == otherIndex))
                if index == otherIndex { #expect(first.hashValue == second.hashValue) }
            }
        }
    }

    /// A run of digits and a text of the same bytes are not the same.
    @Test func formsDoNotMixUp() {
        let text = SubjectIdentity(Subject(kind: .pod, attributes: [.name: "a1"]))
        let other = SubjectIdentity(Subject(kind: .pod, attributes: [.name: "\u{21}"]))
        #expect(text != other)
        #expect(text.name == "a1")
    }

    @Test func equalChildrenAndSchemasOfDifferentNodesAreTheSameObject() {
        let interner = ModelInterner()
        let eth0 = Subject(kind: .networkInterface, parent: 1, attributes: [.name: "eth0"])
        var moved = eth0
        moved.parent = 9
        #expect(interner.identity(of: eth0) === interner.identity(of: moved))
        let pod = Subject(kind: .pod, attributes: [.podUID: "u"])
        #expect(interner.identity(of: pod) == interner.identity(of: pod))
        let fields = [SchemaField(.cpuUsage), SchemaField(.memoryUsage)]
        #expect(interner.schema(Schema(fields)) === interner.schema(Schema(fields)))
        #expect(interner.schema(Schema(fields)) !== interner.schema(Schema([fields[0]])))
    }

    /// An agent that starts again puts the same subjects into other slots.
    @Test func theLayoutNamesParentsByTheSlotsOfItsOwnRun() throws {
        let cluster = Cluster(configuration: ModelConfiguration()) { _ in nil }
        let pod = Subject(kind: .pod, startTimeMilliseconds: 5, attributes: [.podUID: "u"])
        for (run, slots) in [(UInt8(1), [Slot(0), 1, 2]), (2, [2, 7, 4])] {
            let agent = SyntheticNode("n", run: run)
            let node = try #require(cluster.enter(agent.hello, now: 0)).0
            _ = node.begin(agent.hello)
            var (pod, eth0) = (pod, Subject(kind: .networkInterface, attributes: [.name: "eth0"]))
            pod.parent = slots[0]
            eth0.parent = slots[1]
            try agent.add(slots[0], Subject(kind: .node), [.cpuUsage])
            try agent.add(slots[1], pod, [.cpuUsage])
            try agent.add(slots[2], eth0, [.networkReceiveBytes])
            try node.receive(agent.frame(step: 1_000_000 &+ Int64(run) &* 10_000))
            let items = try #require(node.liveLayout()).items
            let parents = Dictionary(
                uniqueKeysWithValues: items.map { ($0.subject.kind, $0.parent) })
            #expect(parents == [.node: nil, .pod: slots[0], .networkInterface: slots[1]])
        }
    }
}
