import Wire

/// What a sample costs in CPU time, over frames of many different nodes.
struct Speed {
    var encode = 0.0
    var decode = 0.0
    /// The same of a changed bitmap with varints, on the same frames.
    var plainDecode = 0.0
    /// Milliseconds for one container out of a node's history.
    var subjectRead = 0.0
    /// A decoder's state of a node: bytes, and microseconds to write and to restore it.
    var state = DecoderStateCost()

    struct DecoderStateCost {
        var bytes = 0
        var write = Double.infinity
        var restore = Double.infinity
    }

    /// Each figure is the best of several runs: the machine may be busy with other things.
    static func measure(_ subjects: [SampleSubject]) throws -> Speed {
        let fleet = Fleet(subjects, nodeCount: 48, frameCount: 100)
        let samples = fleet.nodes.count * (fleet.frameCount - 1) * fleet.valuesPerFrame
        var speed = Speed()
        var frames: [[[UInt8]]] = []
        var best = Int64.max
        for _ in 0..<5 {
            let (time, encoded) = try encodeAll(fleet)
            best = min(best, time)
            frames = encoded
        }
        speed.encode = Double(best) / Double(samples)
        let plain = fleet.nodes.map { VarintBitmapCodec.frames($0, count: fleet.frameCount) }
        best = Int64.max
        var plainBest = Int64.max
        for _ in 0..<15 {
            best = min(best, try decodeAll(fleet, frames))
            plainBest = min(plainBest, try decodeAllPlain(fleet, plain))
        }
        speed.decode = Double(best) / Double(samples)
        speed.plainDecode = Double(plainBest) / Double(samples)
        speed.subjectRead = .infinity
        for _ in 0..<3 { speed.subjectRead = min(speed.subjectRead, try subjectRead(subjects)) }
        for _ in 0..<5 { try measureState(fleet, frames, &speed.state) }
        return speed
    }

    /// The states of all decoders after the last frame.
    private static func measureState(
        _ fleet: Fleet, _ frames: [[[UInt8]]], _ cost: inout DecoderStateCost
    ) throws {
        var states: [[UInt8]] = []
        let count = Double(fleet.nodes.count)
        for (index, node) in fleet.nodes.enumerated() {
            let decoder = FrameDecoder()
            for change in fleet.changes(node) { try decoder.apply(change) }
            for frame in frames[index] { try frame.withUnsafeBytes { _ = try decoder.decode($0) } }
            var bytes: [UInt8] = []
            let start = threadCPU()
            decoder.serialize(into: &bytes)
            cost.write = min(cost.write, Double(threadCPU() - start) / 1e3)
            states.append(bytes)
        }
        cost.bytes = states.reduce(0) { $0 + $1.count } / fleet.nodes.count
        let start = threadCPU()
        for bytes in states {
            let decoder = try bytes.withUnsafeBytes { try FrameDecoder(state: $0) }
            precondition(!decoder.isStale, "a decoder came back without values")
        }
        cost.restore = min(cost.restore, Double(threadCPU() - start) / count / 1e3)
    }

    /// CPU time of all frames but the key frames, and the frames by node and step.
    private static func encodeAll(_ fleet: Fleet) throws -> (Int64, [[[UInt8]]]) {
        var frames = fleet.nodes.map { _ in [[UInt8]]() }
        var time: Int64 = 0
        let encoders = fleet.nodes.map { _ in FrameEncoder() }
        for (node, encoder) in zip(fleet.nodes, encoders) {
            for change in fleet.changes(node) { try encoder.apply(change) }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1 << 20)
        for step in 0..<fleet.frameCount {
            for (index, node) in fleet.nodes.enumerated() {
                fill(encoders[index], node, step)
                bytes.removeAll(keepingCapacity: true)
                let header = header(step)
                let start = threadCPU()
                encoders[index].encode(header, into: &bytes)
                if step > 0 { time += threadCPU() - start }
                frames[index].append(bytes)
            }
        }
        return (time, frames)
    }

    private static func header(_ step: Int) -> FrameHeader {
        FrameHeader(
            sequence: UInt64(step) + 1, stepMilliseconds: 1_795_247_355_000 + Int64(step) * 1_000,
            readDelayMilliseconds: 13, isKey: step == 0)
    }

    static func fill(_ encoder: FrameEncoder, _ node: Fleet.Node, _ step: Int) {
        for (slot, entry) in node.subjects.enumerated() {
            let row = encoder.row(of: Slot(slot))
            let values = entry.subject.rows[entry.firstStep + step]
            for column in values.indices { row[column] = values[column] }
        }
    }

    /// CPU time of all frames but the key frames, step by step over all nodes.
    private static func decodeAll(
        _ fleet: Fleet, _ frames: [[[UInt8]]]
    ) throws -> Int64 {
        let decoders = fleet.nodes.map { _ in FrameDecoder() }
        for (node, decoder) in zip(fleet.nodes, decoders) {
            for change in fleet.changes(node) { try decoder.apply(change) }
        }
        var time: Int64 = 0
        for step in 0..<fleet.frameCount {
            let start = threadCPU()
            for (index, decoder) in decoders.enumerated() {
                try frames[index][step].withUnsafeBytes { raw in
                    _ = try decoder.decode(raw)
                }
            }
            if step > 0 { time += threadCPU() - start }
        }
        return time
    }

    /// The same by the plain codec, with the values of the last frame checked.
    private static func decodeAllPlain(
        _ fleet: Fleet, _ frames: [[[UInt8]]]
    ) throws -> Int64 {
        let decoders = fleet.nodes.map { VarintBitmapDecoder($0.subjects.map(\.subject)) }
        var time: Int64 = 0
        for step in 0..<fleet.frameCount {
            let start = threadCPU()
            for (index, decoder) in decoders.enumerated() {
                try frames[index][step].withUnsafeBytes { raw in try decoder.decode(raw) }
            }
            if step > 0 { time += threadCPU() - start }
        }
        for (node, decoder) in zip(fleet.nodes, decoders) {
            let last = node.subjects.flatMap { $0.subject.raw[$0.firstStep + fleet.frameCount - 1] }
            precondition(decoder.frame.elementsEqual(last), "the plain codec is wrong")
        }
        return time
    }

    /// One container out of 900 frames of a node: the recording's steps there and back, since it has
    /// only 200.
    private static func subjectRead(_ subjects: [SampleSubject]) throws -> Double {
        let frameCount = 900
        let fleet = Fleet(subjects, nodeCount: 48, frameCount: 100)
        var total: Int64 = 0
        for node in fleet.nodes {
            let encoder = FrameEncoder()
            let base = FrameDecoder()
            for change in fleet.changes(node) {
                try encoder.apply(change)
                try base.apply(change)
            }
            var frames: [[UInt8]] = []
            for step in 0..<frameCount {
                let cycle = step % 198
                fill(encoder, node, cycle < 100 ? cycle : 198 - cycle)
                var bytes: [UInt8] = []
                encoder.encode(header(step), into: &bytes)
                frames.append(bytes)
            }
            try frames[0].withUnsafeBytes { _ = try base.decode($0) }
            let slot = Slot(node.subjects.count / 2)
            let start = threadCPU()
            var sum: Int64 = 0
            let reader = FrameDecoder(copying: base, wanting: [slot])
            for frame in frames.dropFirst() {
                try frame.withUnsafeBytes { _ = try reader.decode($0) }
                for value in reader.row(of: slot) ?? UnsafeBufferPointer(start: nil, count: 0) {
                    sum &+= value
                }
            }
            total += threadCPU() - start
            precondition(sum != 0, "the container has no values")
        }
        return Double(total) / Double(fleet.nodes.count) / 1e6
    }
}
