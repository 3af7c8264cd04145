import Glibc
import Wire

/// Nodes made of a recording, all different, so that neither caches nor branch predictors can learn
/// one of them: each has 60 containers drawn from the recording's, each container and the node with
/// a start time of its own.
final class Fleet {
    struct Node {
        let subjects: [(subject: SampleSubject, firstStep: Int)]
    }

    let nodes: [Node]
    /// Frames of each node.
    let frameCount: Int
    static let containers = 60

    init(_ subjects: [SampleSubject], nodeCount: Int, frameCount: Int) {
        var random = SplitMix(state: 42)
        let steps = subjects[0].rows.count
        let containers = subjects.filter { $0.name != "node" }
        let others = subjects.filter { $0.name == "node" }
        self.frameCount = frameCount
        nodes = (0..<nodeCount).map { _ in
            let drawn = (0..<Self.containers).map { _ in containers[random.below(containers.count)]
            }
            return Node(
                subjects: (others + drawn).map { ($0, random.below(steps - frameCount + 1)) })
        }
    }

    var valuesPerFrame: Int {
        nodes[0].subjects.reduce(0) { $0 + $1.subject.schema.fields.count }
    }

    /// The dictionary of a node.
    func changes(_ node: Node) -> [SubjectChange] {
        HeapwireCodec.dictionary(node.subjects.map(\.subject))
    }
}

/// A small generator of repeatable numbers (Steele, Lea, Flood: SplitMix64).
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }
}

/// CPU time of this thread in nanoseconds.
func threadCPU() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
