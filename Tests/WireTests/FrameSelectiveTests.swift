import Testing
import Wire

@Suite struct FrameSelectiveTests {
    @Test func aReaderOfSomeSlotsSeesWhatAReaderOfAllSees() throws {
        for seed in 100..<104 as Range<UInt64> { try follow(seed: seed) }
    }

    private func follow(seed: UInt64) throws {
        var world = FrameWorld(seed: seed, slotEnd: 60)
        let encoder = FrameEncoder()
        let all = FrameDecoder()
        for change in world.schemaChanges + world.churn(oneIn: 2) {
            try encoder.apply(change)
            try all.apply(change)
        }
        for frame in 0..<5 {
            world.advance()
            world.fill(encoder)
            try all.decode(encoder.encode(world.nextHeader(isKey: frame == 0)))
        }
        // Slot 41 may be free or not at the base; later it will be another subject's.
        let wanted: [Slot] = [3, 22, 41]
        let some = FrameDecoder(copying: all, wanting: wanted)
        var skipped = 0
        for frame in 0..<90 {
            for change in world.churn(oneIn: 40) {
                try encoder.apply(change)
                try all.apply(change)
                try some.apply(change)
            }
            world.advance()
            world.fill(encoder)
            let bytes = encoder.encode(world.nextHeader(isKey: world.random.chance(60)))
            try all.decode(bytes)
            try some.decode(bytes)
            for slot in wanted {
                #expect(
                    some.row(of: slot).map(Array.init) == world.values[slot],
                    "seed \(seed) frame \(frame) slot \(slot)")
            }
            // What it shows of other slots must be true, too.
            for (slot, row) in some.rows { #expect(row == world.values[slot]) }
            skipped += all.rows.count - some.rows.count
        }
        #expect(skipped > 0)
    }

    @Test func aSlotThatWasNotFollowedIsThereFromTheNextKeyFrameOn() throws {
        var world = FrameWorld(seed: 77, slotEnd: 40)
        let encoder = FrameEncoder()
        let decoder = FrameDecoder(selective: true)
        for change in world.schemaChanges + world.churn(oneIn: 1) {
            try encoder.apply(change)
            try decoder.apply(change)
        }
        decoder.want(2)
        func next(isKey: Bool) throws {
            world.advance()
            world.fill(encoder)
            try decoder.decode(encoder.encode(world.nextHeader(isKey: isKey)))
        }
        try next(isKey: true)
        try next(isKey: false)
        try next(isKey: false)
        decoder.want(30)
        try next(isKey: false)
        #expect(decoder.row(of: 30) == nil)
        #expect(decoder.row(of: 2).map(Array.init) == world.values[2])
        try next(isKey: true)
        try next(isKey: false)
        #expect(decoder.row(of: 30).map(Array.init) == world.values[30])
    }
}
