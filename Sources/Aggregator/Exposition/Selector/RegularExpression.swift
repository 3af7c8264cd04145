/// A regular expression in RE2's syntax (<https://github.com/google/re2/wiki/Syntax>), as Prometheus has
/// them in its series selectors: it matches whole texts only.
///
/// The time of a match is the length of the text times the size of the expression at most, whatever
/// both are: all ways through the expression are followed side by side (Thompson's construction). No
/// expression backtracks, so none that a stranger sends can hold a thread.
///
/// Not there: classes by script or category (`\p{Greek}`), `\C`, `\Q…\E`. Groups capture nothing.
/// `.` matches a line end too, as in Prometheus since 3.0.
struct RegularExpression: Sendable {
    /// Bytes of an expression.
    static let byteCountMax = 1_024
    /// Instructions that it may come to, with every `{n,m}` written out.
    static let instructionCountMax = 1_000
    /// Groups within groups.
    static let depthMax = 64
    /// In `{n,m}`, as in RE2.
    static let repetitionMax = 1_000

    /// What is wrong with an expression, in words.
    struct Invalid: Error, Equatable {
        let message: String
    }

    enum Instruction: Sendable {
        case character(ScalarSet)
        /// Goes on at both places.
        case fork(Int, Int)
        case jump(Int)
        case assertion(Assertion)
        case match
    }

    /// What a place in the text has to be like.
    enum Assertion: Sendable {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary

        /// - Parameters: the scalars before and behind the place; `nil` at the text's ends.
        func holds(_ before: UInt32?, _ after: UInt32?) -> Bool {
            switch self {
            case .textStart: return before == nil
            case .textEnd: return after == nil
            case .lineStart: return before == nil || before == 0x0A
            case .lineEnd: return after == nil || after == 0x0A
            case .wordBoundary: return Self.isWord(before) != Self.isWord(after)
            case .noWordBoundary: return Self.isWord(before) == Self.isWord(after)
            }
        }

        private static func isWord(_ scalar: UInt32?) -> Bool {
            guard let scalar else { return false }
            return ScalarSet.word.contains(scalar)
        }
    }

    private let instructions: [Instruction]
    /// The texts that match, where they can be counted out: `web|db`. ASCII only, so that no two are
    /// the same to `String`.
    let literals: Set<String>?

    /// - Throws: the reason, with the place in the expression.
    init(_ text: String) throws(Invalid) {
        guard text.utf8.count <= Self.byteCountMax else {
            throw Invalid(
                message: "the regular expression is longer than \(Self.byteCountMax) bytes")
        }
        var parser = RegularExpressionParser(text)
        let tree = try parser.parse()
        literals = tree.literals().map { Set($0) }
        var compiler = RegularExpressionCompiler()
        try compiler.compile(tree)
        instructions = compiler.instructions + [.match]
    }

    /// Whether the whole text matches.
    ///
    /// - Parameter steps: what it cost is added: one for each scalar and place in the expression.
    func matches(_ text: String, steps: inout Int) -> Bool {
        if let literals {
            guard let place = literals.firstIndex(of: text) else { return false }
            return literals[place].utf8.elementsEqual(text.utf8)
        }
        let count = instructions.count
        return withUnsafeTemporaryAllocation(of: Int32.self, capacity: 6 * count) { room in
            room.initialize(repeating: 0)
            var run = Run(instructions: instructions, room: room)
            defer { steps &+= run.steps }
            return run.matches(text.unicodeScalars)
        }
    }

    /// One match: the places in the expression that the text so far leads to, and those after the next
    /// scalar. Each set is a list of its members and, by member, the place in the list.
    private struct Run {
        let instructions: [Instruction]
        let room: UnsafeMutableBufferPointer<Int32>
        /// Which half of the room has the present set.
        private var side = 0
        private var counts = (0, 0)
        private(set) var steps = 0

        init(instructions: [Instruction], room: UnsafeMutableBufferPointer<Int32>) {
            self.instructions = instructions
            self.room = room
        }

        mutating func matches(_ text: String.UnicodeScalarView) -> Bool {
            var iterator = text.makeIterator()
            var next = iterator.next()?.value
            add(0, to: 0, nil, next)
            while let scalar = next {
                next = iterator.next()?.value
                let count = side == 0 ? counts.0 : counts.1
                if count == 0 { return false }
                steps &+= count
                let other = 1 - side
                setCount(other, 0)
                for place in 0..<count {
                    let state = Int(room[base(side) + place])
                    guard case .character(let set) = instructions[state], set.contains(scalar)
                    else { continue }
                    add(state + 1, to: other, scalar, next)
                }
                side = other
            }
            let count = side == 0 ? counts.0 : counts.1
            return (0..<count).contains { place in
                if case .match = instructions[Int(room[base(side) + place])] { return true }
                return false
            }
        }

        private func base(_ side: Int) -> Int { side * 2 * instructions.count }

        private mutating func setCount(_ side: Int, _ count: Int) {
            if side == 0 { counts.0 = count } else { counts.1 = count }
        }

        /// Adds a place and all that are reached from it without a scalar.
        private mutating func add(
            _ first: Int, to side: Int, _ before: UInt32?, _ after: UInt32?
        ) {
            let stack = 4 * instructions.count
            var depth = 1
            room[stack] = Int32(first)
            while depth > 0 {
                depth -= 1
                let state = Int(room[stack + depth])
                guard insert(state, side) else { continue }
                switch instructions[state] {
                case .character, .match: continue
                case .jump(let target):
                    room[stack + depth] = Int32(target)
                    depth += 1
                case .fork(let one, let other):
                    // Each state is put in once and pushes two at most: twice the count is enough.
                    room[stack + depth] = Int32(other)
                    room[stack + depth + 1] = Int32(one)
                    depth += 2
                case .assertion(let assertion):
                    guard assertion.holds(before, after) else { continue }
                    room[stack + depth] = Int32(state + 1)
                    depth += 1
                }
            }
        }

        /// False for a member.
        private mutating func insert(_ state: Int, _ side: Int) -> Bool {
            let list = base(side)
            let places = list + instructions.count
            let count = side == 0 ? counts.0 : counts.1
            let place = Int(room[places + state])
            if place < count, room[list + place] == Int32(state) { return false }
            room[list + count] = Int32(state)
            room[places + state] = Int32(count)
            setCount(side, count + 1)
            return true
        }
    }
}
