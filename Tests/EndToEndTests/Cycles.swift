import Foundation
import TestSupport
import Testing

/// Whole seconds between the first and the last that are not there.
func holes(_ cycles: [Int64], every step: Int64 = 1_000) -> [Int64] {
    guard let first = cycles.first, let last = cycles.last else { return [] }
    let known = Set(cycles)
    return stride(from: first, through: last, by: Int(step)).filter { !known.contains($0) }
}

/// Stops an agent in order; how many steps it says that it did not take. On a busy machine it may be kept
/// from its processor over a whole step: what was never sampled is no loss.
func endAgent(_ agent: RunningProgram) throws -> Int {
    agent.signal(SIGUSR1)
    let (_, skipped, set, slept) = try agent.wait(
        for: /(\d+) steps skipped, clock set (\d+) times, slept (\d+) times/, seconds: 60)
    #expect(agent.stop() == 0, "\(agent.output)")
    return [skipped, set, slept].reduce(0) { $0 + (Int($1) ?? 0) }
}
