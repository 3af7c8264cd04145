import Glibc

/// What libFuzzer calls with each input.
public typealias FuzzEntry = @convention(c) (UnsafePointer<UInt8>, Int) -> CInt

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: FuzzEntry
) -> CInt

/// The `main` of a fuzzer: libFuzzer with its own arguments, or `--write-seeds DIRECTORY`, which writes
/// well-formed inputs there instead.
///
/// - Parameter seeds: makes them; throws when what they are made with refuses its own output.
public func runFuzzer(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
    seeds: () throws -> [[UInt8]] = { [] }, entry: FuzzEntry
) -> CInt {
    if count == 3, let flag = arguments?[1], let directory = arguments?[2],
        strcmp(flag, "--write-seeds") == 0
    {
        do {
            return write(try seeds(), to: String(cString: directory))
        } catch {
            print("no seeds: \(error)")
            return 1
        }
    }
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, entry)
}

private func write(_ seeds: [[UInt8]], to directory: String) -> CInt {
    for (index, input) in seeds.enumerated() {
        let path = "\(directory)/seed-\(index)"
        guard let file = fopen(path, "w") else {
            perror(path)
            return 1
        }
        let written = fwrite(input, 1, input.count, file)
        guard fclose(file) == 0, written == input.count else {
            perror(path)
            return 1
        }
    }
    return 0
}
