import Wire

/// `bench-wire [FILE.csv.gz]`: bytes and CPU time of the codec on a recording, beside others.
let path =
    Swift.CommandLine.arguments.count > 1
    ? Swift.CommandLine.arguments[1] : "../shared/samples/node_1s_200s.csv.gz"
do {
    try Report(path: path).print()
} catch {
    print("bench-wire: \(error)")
    exitWithFailure()
}
