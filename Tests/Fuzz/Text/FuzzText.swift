import Glibc
import Wire

/// libFuzzer's entry: see `TextFuzzInput` for what an input says. `make fuzz-text` runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzText(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    _ = TextFuzzInput.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// What SwiftPM makes the executable's `main`.
@_cdecl("fuzz_text_main")
public func fuzzTextMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    Diagnostics.setMinimumLevel(.error)
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, { fuzzText($0, $1) })
}
