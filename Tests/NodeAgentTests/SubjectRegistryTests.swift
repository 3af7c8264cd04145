import Testing
import Wire

@testable import NodeAgent

@Suite struct SubjectRegistryTests {
    private func fields(_ count: Int) -> [SchemaField] {
        Array([SchemaField(.readOffset), .init(.cpuUsage), .init(.memoryUsage)].prefix(count))
    }

    /// What comes and goes takes no more slots than there were at once, and no schema a second time.
    @Test func slotsAreUsedAgainAndSchemasAreTheSame() throws {
        var registry = SubjectRegistry()
        var live: [Slot] = []
        for round in 0..<10_000 {
            if live.count == 20 { registry.remove(live.remove(at: round * 7 % 20)) }
            let subject = Subject(kind: .container, attributes: [.containerID: "\(round)"])
            let slot = registry.add(subject, fields: fields(1 + round % 3))
            live.append(try #require(slot))
            _ = registry.takeChanges()
        }
        #expect(registry.slotCount == 20)
        #expect(registry.schemaCount == 3)
        #expect(registry.subjectCount == 20)
        #expect(Set(live).count == 20)
        #expect(registry.refusedCount == 0)
    }

    @Test func whatTheWireHasNoRoomForIsRefusedAndCounted() {
        var limits = WireLimits()
        (limits.schemas, limits.subjects) = (2, 3)
        var registry = SubjectRegistry(limits: limits)
        /// The slot of a new subject with so many columns; `nil` where it is refused.
        func add(_ columns: Int) -> Slot? {
            registry.add(Subject(kind: .container), fields: fields(columns))
        }
        #expect(add(1) == 0)
        #expect(add(2) == 1)
        #expect(add(3) == nil, "a third schema")
        #expect(registry.refusedCount == 1)
        #expect(add(2) == 2, "a known one has room")
        #expect(add(2) == nil, "a fourth subject")
        #expect(registry.refusedCount == 2)
        registry.remove(0)
        #expect(add(1) == 0)
        #expect(registry.schemaCount == 2)
        // Nothing of what was refused is told.
        let changes = registry.takeChanges()
        #expect(changes.count == 7)
    }
}
