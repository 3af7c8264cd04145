import FuzzDriver
import Wire

/// libFuzzer's entry: see `SessionFuzzInput` for what an input says. `make fuzz-wire` runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSession(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    _ = SessionFuzzInput.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

/// What SwiftPM makes the executable's `main`.
@_cdecl("fuzz_session_main")
public func fuzzSessionMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    Diagnostics.setMinimumLevel(.error)
    return runFuzzer(
        count, arguments, seeds: { SessionFuzzSeeds.make(count: 120) },
        entry: { fuzzSession($0, $1) })
}
