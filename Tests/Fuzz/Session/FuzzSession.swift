import Glibc
import Wire

/// libFuzzer's entry: see `SessionFuzzInput` for what an input says. `make fuzz-wire` runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSession(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    _ = SessionFuzzInput.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// What SwiftPM makes the executable's `main`. `--write-seeds DIRECTORY` writes well-formed inputs
/// there instead of fuzzing.
@_cdecl("fuzz_session_main")
public func fuzzSessionMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    Diagnostics.setMinimumLevel(.error)
    if count == 3, let flag = arguments?[1], let directory = arguments?[2],
        strcmp(flag, "--write-seeds") == 0
    {
        return writeSeeds(String(cString: directory))
    }
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, { fuzzSession($0, $1) })
}

private func writeSeeds(_ directory: String) -> CInt {
    for (index, input) in SessionFuzzSeeds.make(count: 120).enumerated() {
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
