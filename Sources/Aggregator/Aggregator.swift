import Glibc
import Wire

/// The aggregator: reads the command line, connects the parts, runs until it is told to stop.
@main struct Aggregator {
    static func main() {
        exit(run(Array(Swift.CommandLine.arguments.dropFirst())))
    }

    /// Not on the main actor: what it starts runs on other threads.
    ///
    /// - Returns: the exit code; 2 for what the user can mend on the command line.
    nonisolated static func run(_ arguments: [String]) -> Int32 {
        if arguments.first == Doctor.name { return Doctor.run(Array(arguments.dropFirst())) }
        let commandLine = Wire.CommandLine(arguments, flags: AggregatorConfiguration.flags)
        if commandLine.wantsHelp {
            print(AggregatorConfiguration.help, terminator: "")
            return 0
        }
        if commandLine.wantsVersion {
            print("heapwire-aggregator \(HeapwireVersion.current)")
            return 0
        }
        do throws(UsageError) {
            let configuration = try AggregatorConfiguration(commandLine)
            Diagnostics.setMinimumLevel(configuration.logLevel)
            let signals = StopSignals()
            let service = try AggregatorService(configuration)
            service.announce()
            let signal = signals.wait()
            Diagnostics.info("stopping: \(signal)")
            service.stop()
            return 0
        } catch {
            for problem in error.problems {
                Diagnostics.error(problem)
            }
            return 2
        }
    }
}
