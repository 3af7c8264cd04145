/// Writes a tree out as instructions, within their limit.
struct RegularExpressionCompiler {
    private(set) var instructions: [RegularExpression.Instruction] = []
    /// Repetitions of nothing cost time though they come to no instruction.
    private var visits = 0

    mutating func compile(_ tree: RegularExpressionTree) throws(RegularExpression.Invalid) {
        visits += 1
        guard visits <= 10 * RegularExpression.instructionCountMax else { throw Self.tooLarge }
        switch tree {
        case .empty: return
        case .character(let set): try emit(.character(set))
        case .assertion(let assertion): try emit(.assertion(assertion))
        case .sequence(let parts): for part in parts { try compile(part) }
        case .alternatives(let parts): try compile(alternatives: parts)
        case .repetition(let part, let least, let most):
            for _ in 0..<least { try compile(part) }
            guard let most else { return try compile(star: part) }
            var forks: [Int] = []
            for _ in least..<most {
                forks.append(try emit(.fork(0, 0)))
                try compile(part)
            }
            for fork in forks { instructions[fork] = .fork(fork + 1, instructions.count) }
        }
    }

    private mutating func compile(
        alternatives parts: [RegularExpressionTree]
    ) throws(RegularExpression.Invalid) {
        var jumps: [Int] = []
        for (number, part) in parts.enumerated() {
            guard number < parts.count - 1 else {
                try compile(part)
                break
            }
            let fork = try emit(.fork(0, 0))
            try compile(part)
            jumps.append(try emit(.jump(0)))
            instructions[fork] = .fork(fork + 1, instructions.count)
        }
        for jump in jumps { instructions[jump] = .jump(instructions.count) }
    }

    private mutating func compile(
        star part: RegularExpressionTree
    ) throws(RegularExpression.Invalid) {
        let fork = try emit(.fork(0, 0))
        try compile(part)
        try emit(.jump(fork))
        instructions[fork] = .fork(fork + 1, instructions.count)
    }

    @discardableResult
    private mutating func emit(
        _ instruction: RegularExpression.Instruction
    ) throws(RegularExpression.Invalid) -> Int {
        guard instructions.count < RegularExpression.instructionCountMax else {
            throw Self.tooLarge
        }
        instructions.append(instruction)
        return instructions.count - 1
    }

    private static let tooLarge = RegularExpression.Invalid(
        message: "the regular expression is too large with its repetitions written out, more than "
            + "\(RegularExpression.instructionCountMax) steps")
}
