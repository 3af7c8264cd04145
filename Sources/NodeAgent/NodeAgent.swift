import Glibc
import Wire

/// The agent: reads the command line, connects the parts, runs until it is told to stop.
@main
struct NodeAgent {
    static func main() {
        exit(run(Array(Swift.CommandLine.arguments.dropFirst())))
    }

    /// Not on the main actor: what it starts runs on other threads too.
    ///
    /// - Returns: the exit code; 2 for what the user can mend.
    nonisolated static func run(_ arguments: [String]) -> Int32 {
        let line = Wire.CommandLine(arguments, flags: AgentConfiguration.flags)
        if line.wantsHelp {
            print(AgentConfiguration.help, terminator: "")
            return 0
        }
        if line.wantsVersion {
            print("heapwire-agent \(HeapwireVersion.current)")
            return 0
        }
        do throws(AgentUsageError) {
            // Reading certificates takes megabytes of code, and so did getting here.
            ResidentMemory.releaseText()
            let configuration = try AgentConfiguration(line)
            Diagnostics.setMinimumLevel(configuration.logLevel)
            let sampler = try makeSampler(configuration)
            if configuration.isPrinting || configuration.isPrintingValues {
                let text =
                    configuration.isPrintingValues
                    ? SampleLines.text(sampler)
                    : SamplePrinter(sampler) { usleep(1_000_000) }.text()
                print(text, terminator: "")
                for notice in sampler.files.takeNotices() { Diagnostics.info(notice) }
                return 0
            }
            try AgentService(configuration, sampler: sampler).run()
            return 0
        } catch {
            for problem in error.problems { Diagnostics.error(problem) }
            return 2
        }
    }

    private nonisolated static func makeSampler(
        _ configuration: AgentConfiguration
    ) throws(AgentUsageError) -> Sampler {
        var sampling = SamplerConfiguration()
        sampling.roots = configuration.roots
        sampling.groups = configuration.groups
        sampling.resolutionMilliseconds =
            configuration.resolution ?? AgentService.defaultResolution
        sampling.walkRate = configuration.walkRate
        sampling.walkIntervalMilliseconds = configuration.walkInterval
        do throws(KernelFileError) {
            return try Sampler(sampling, files: HostFiles())
        } catch {
            throw AgentUsageError(
                problems: ["\(error); --proc says where the host's procfs is mounted"])
        }
    }
}
