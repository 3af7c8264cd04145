import Foundation
import Wire

/// Stands in for a cluster's agents: pushes recordings, or simulates thousands of nodes.
@main
enum HeapwireFleet {
    private static let summary = "stands in for many Heapwire agents"

    static func main() {
        StopSignal.install()
        var arguments = Array(ProcessInfo.processInfo.arguments.dropFirst())
        let command = arguments.isEmpty ? "" : arguments.removeFirst()
        do {
            switch command {
            case "replay": try replay(arguments)
            case "simulate": try simulate(arguments)
            case "--help", "-h": FleetOutput.line(help)
            default: throw FleetFailure.usage("unknown command \"\(command)\"\n\n\(help)")
            }
        } catch FleetFailure.usage(let words) {
            Diagnostics.error("heapwire-fleet: \(words)")
            exit(2)
        } catch {
            Diagnostics.error("heapwire-fleet: \(error)")
            exit(1)
        }
    }

    private static let help = """
        heapwire-fleet: \(summary)

        usage: heapwire-fleet replay --summary-dir=DIR --aggregator=HOST:PORT [flags]
               heapwire-fleet simulate --nodes=N --aggregator=HOST:PORT [flags]

        Each command has --help.
        """

    private static func parse(
        _ arguments: [String], _ command: String, _ own: [Flag]
    ) throws -> CommandLine? {
        let flags = FleetOptions.flags + own
        let line = CommandLine(arguments, flags: flags)
        if line.wantsHelp {
            FleetOutput.line(
                CommandLine.help(
                    program: "heapwire-fleet \(command)", summary: summary, usage: "[flags]",
                    flags: flags))
            return nil
        }
        return line
    }

    private static func check(_ line: CommandLine) throws {
        guard line.problems.isEmpty else {
            throw FleetFailure.usage(line.problems.joined(separator: "\n"))
        }
    }

    private static func replay(_ arguments: [String]) throws {
        guard var line = try parse(arguments, "replay", ReplayCommand.flags) else { return }
        try check(line)
        let pace = line.milliseconds("pace", in: 0...3_600_000) ?? 0
        let hold = line.milliseconds("hold", in: 0...86_400_000) ?? 0
        let command = try ReplayCommand(&line)
        try check(line)
        try command.run(pace: pace, hold: hold)
    }

    private static func simulate(_ arguments: [String]) throws {
        guard var line = try parse(arguments, "simulate", SimulateCommand.flags) else { return }
        try check(line)
        let options = try SimulationOptions(&line)
        try check(line)
        try SimulateCommand(options).run()
    }
}
