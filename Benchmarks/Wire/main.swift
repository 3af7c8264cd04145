import Wire

/// `bench-wire [FILE.csv.gz [speed]]`: bytes and CPU time of the codec on a recording, beside others;
/// with `speed` CPU time only, for a profiler; with `allocations COUNT` only so many frames, for an
/// allocation counter.
let arguments = Swift.CommandLine.arguments
let path = arguments.count > 1 ? arguments[1] : "../shared/samples/node_1s_200s.csv.gz"
do {
    let report = try Report(path: path)
    if arguments.count > 2, arguments[2] == "speed" {
        try report.printSpeed()
    } else if arguments.count > 3, arguments[2] == "allocations", let count = Int(arguments[3]) {
        try report.runAllocations(frameCount: count)
    } else {
        try report.print()
    }
} catch {
    print("bench-wire: \(error)")
    exitWithFailure()
}
