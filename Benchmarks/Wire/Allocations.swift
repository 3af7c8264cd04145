import Wire

/// Encodes and decodes frames over and over and does nothing else, for an allocation counter around the
/// process: however many frames, the number of allocations must be the same (`scripts/test-allocations`).
enum Allocations {
    /// - Parameter frameCount: of each of the nodes, after all buffers have grown.
    static func run(_ subjects: [SampleSubject], frameCount: Int) throws {
        let fleet = Fleet(subjects, nodeCount: 4, frameCount: 100)
        let encoders = fleet.nodes.map { _ in FrameEncoder() }
        let decoders = fleet.nodes.map { _ in FrameDecoder() }
        for (index, node) in fleet.nodes.enumerated() {
            for change in fleet.changes(node) {
                try encoders[index].apply(change)
                try decoders[index].apply(change)
            }
        }
        var payload: [UInt8] = []
        payload.reserveCapacity(1 << 20)
        var record: [UInt8] = []
        record.reserveCapacity(1 << 20)
        var sum: Int64 = 0
        for frame in 0..<200 + frameCount {
            // There and back, so that every change is like one that was seen.
            let cycle = frame % 198
            let step = cycle < 100 ? cycle : 198 - cycle
            for (index, node) in fleet.nodes.enumerated() {
                Speed.fill(encoders[index], node, step)
                payload.removeAll(keepingCapacity: true)
                record.removeAll(keepingCapacity: true)
                let header = FrameHeader(
                    sequence: UInt64(frame) + 1, stepMilliseconds: Int64(frame) * 1_000,
                    readDelayMilliseconds: 13, isKey: frame % 300 == 0)
                encoders[index].encode(header, into: &payload)
                payload.withUnsafeBytes { Record.encode(type: .frame, payload: $0, into: &record) }
                let result = record.withUnsafeBytes { raw in
                    receive(raw, decoders[index])
                }
                try result.get()
                sum &+= decoders[index].row(of: 0)?[0] ?? 0
            }
        }
        print("\(frameCount) frames of \(fleet.nodes.count) nodes, checksum \(sum)")
    }

    private static func receive(
        _ bytes: UnsafeRawBufferPointer, _ decoder: FrameDecoder
    ) -> Result<Void, WireError> {
        do throws(WireError) {
            guard
                case .record(.frame, _, let payload, _) = try Record.parse(
                    bytes, payloadLimit: 1 << 20)
            else { throw .truncated(offset: 0) }
            try decoder.decode(UnsafeRawBufferPointer(rebasing: bytes[payload]))
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}
