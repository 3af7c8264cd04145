import FuzzDriver
import Wire

/// libFuzzer's entry: see `TextFuzzInput` for what an input says. `make fuzz-text` runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzText(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    _ = TextFuzzInput.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

/// What SwiftPM makes the executable's `main`.
@_cdecl("fuzz_text_main")
public func fuzzTextMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    Diagnostics.setMinimumLevel(.error)
    return runFuzzer(count, arguments, entry: { fuzzText($0, $1) })
}
