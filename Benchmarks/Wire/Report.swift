import Glibc
import Wire

/// The table and the JSON line.
struct Report {
    /// Length (2 bytes), type and checksum in front of every frame.
    private static let recordBytes = 7
    /// A record with a range of sequences. The aggregator sends one for every frame, with a log (at most one
    /// a second, `--log-sync`) and without.
    private static let ackBytes = 10

    private let file: SampleFile
    private let name: String

    init(path: String) throws {
        file = try SampleFile(path: path)
        name = path
    }

    /// Prints it all.
    func print() throws {
        Swift.print("\(name): \(file.seriesCount) series, \(file.stepCount) steps")
        Swift.print("all bytes: frames, records, acknowledgements, dictionary")
        Swift.print(row("B/sample", "1 s", "10 s"))
        var ours: [Int: Double] = [:]
        var perChanged: [Int: Double] = [:]
        var columns: [[String]] = []
        for stride in [1, 10] {
            let subjects = SampleSchemas.subjects(of: file, stride: stride)
            let samples = Double(subjects[0].rows.count * file.seriesCount)
            let size = try HeapwireCodec.measure(subjects, stride: stride)
            let all = size.frames + size.dictionary + framing(subjects)
            ours[stride] = Double(all) / samples
            perChanged[stride] = Double(all) / Double(changedSamples(subjects))
            columns.append(
                try others(subjects, stride: stride).map { text(Double($0) / samples) }
                    + [text(Double(all) / samples)]
                    + [
                        size.dictionary, size.keyFrame, size.frames - size.keyFrame,
                        framing(subjects),
                    ].map { "\($0) B" } + [text(perChanged[stride] ?? 0)])
        }
        for (index, label) in Self.labels.enumerated() {
            Swift.print(row(label, columns[0][index], columns[1][index]))
        }
        let speed = try printSpeed()
        Swift.print(
            "{\"bytes_per_sample_1s\":\(text(ours[1] ?? 0)),"
                + "\"bytes_per_sample_10s\":\(text(ours[10] ?? 0)),"
                + "\"bytes_per_changed_sample_1s\":\(text(perChanged[1] ?? 0)),"
                + "\"bytes_per_changed_sample_10s\":\(text(perChanged[10] ?? 0)),"
                + "\"encode_ns_per_sample\":\(text(speed.encode)),"
                + "\"decode_ns_per_sample\":\(text(speed.decode)),"
                + "\"plain_decode_ns_per_sample\":\(text(speed.plainDecode)),"
                + "\"decoder_state_bytes\":\(speed.state.bytes),"
                + "\"subject_read_ms\":\(text(speed.subjectRead))}")
    }

    func runAllocations(frameCount: Int) throws {
        try Allocations.run(SampleSchemas.subjects(of: file, stride: 1), frameCount: frameCount)
    }

    /// Prints CPU times only.
    @discardableResult
    func printSpeed() throws -> Speed {
        let speed = try Speed.measure(SampleSchemas.subjects(of: file, stride: 1))
        Swift.print(row("encode, ns/sample", text(speed.encode), ""))
        Swift.print(row("decode, ns/sample", text(speed.decode), ""))
        Swift.print(row("  changed bitmap + varint", text(speed.plainDecode), ""))
        Swift.print(row("one container of 900 frames, ms", text(speed.subjectRead), ""))
        Swift.print(row("decoder state of a 60-container node", "\(speed.state.bytes) B", ""))
        Swift.print(
            row("  written, restored, µs", text(speed.state.write), text(speed.state.restore)))
        return speed
    }

    private static let labels = [
        "Gorilla, chunks of 120 (no framing)", VarintBitmapCodec.name,
        "  + deflate -1, one stream", "  + deflate -6, one stream",
        "heapwire without predictions", "  and without granularities",
        "same units and predictions, range coder", "heapwire, a key frame every 60 frames",
        "heapwire",
        "  dictionary", "  first key frame", "  other frames", "  records and acknowledgements",
        "  B per changed sample",
    ]

    /// Bytes of the codecs above ours, in the order of `labels`.
    private func others(_ subjects: [SampleSubject], stride: Int) throws -> [Int] {
        let framing = framing(subjects)
        var bitmap = VarintBitmapCodec(subjects)
        var entropy = EntropyCodec(subjects)
        let deflates = [DeflateStream(level: 1), DeflateStream(level: 6)]
        var totals = [0, 0, 0, 0]
        for step in subjects[0].rows.indices {
            var bytes: [UInt8] = []
            bitmap.encode(step: step, milliseconds: file.times[step * stride], into: &bytes)
            totals[0] += bytes.count
            totals[1] += deflates[0].compressedByteCount(bytes)
            totals[2] += deflates[1].compressedByteCount(bytes)
            totals[3] += entropy.encode(step: step).count
        }
        let plain = subjects.map { $0.with(Schema($0.schema.fields, predictions: [])) }
        let bare = subjects.map {
            $0.with(
                Schema(
                    $0.schema.fields.map {
                        SchemaField(metric: $0.metric, isCounter: $0.isCounter)
                    }, predictions: []))
        }
        func size(_ subjects: [SampleSubject], keyInterval: Int = 0) throws -> Int {
            let size = try HeapwireCodec.measure(
                subjects, stride: stride, keyInterval: keyInterval)
            return size.frames + size.dictionary + framing
        }
        var dictionary: [UInt8] = []
        DictionaryCodec.encode(HeapwireCodec.dictionary(subjects), into: &dictionary)
        var names: [UInt8] = []
        DictionaryCodec.encode(HeapwireCodec.dictionary(bare), into: &names)
        return [
            GorillaCodec.bytes(subjects), totals[0] + framing + names.count,
            totals[1] + framing + names.count, totals[2] + framing + names.count,
            try size(plain), try size(bare), totals[3] + framing + dictionary.count,
            try size(subjects, keyInterval: 60),
        ]
    }

    private func framing(_ subjects: [SampleSubject]) -> Int {
        let frames = subjects[0].rows.count
        return Self.recordBytes * (frames + 1) + Self.ackBytes * frames
    }

    private func changedSamples(_ subjects: [SampleSubject]) -> Int {
        var changed = 0
        for subject in subjects {
            for (before, after) in zip(subject.rows, subject.rows.dropFirst()) {
                for (a, b) in zip(before, after) where a != b { changed += 1 }
            }
        }
        return changed
    }

    private func text(_ value: Double) -> String {
        let thousandths = Int((value * 10_000).rounded())
        let fraction = String(thousandths % 10_000)
        return "\(thousandths / 10_000)." + String(repeating: "0", count: 4 - fraction.count)
            + fraction
    }

    private func row(_ label: String, _ one: String, _ ten: String) -> String {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(1, width - text.count)) + text
        }
        return label + pad(one, 54 - label.count) + pad(ten, 12)
    }
}

/// Ends the process with exit code 1.
func exitWithFailure() -> Never { exit(1) }
