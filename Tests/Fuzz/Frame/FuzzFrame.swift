import FrameFuzzing
import FuzzDriver
import Wire

/// libFuzzer's entry: see `FrameFuzzInput` for what an input says. `make fuzz-wire` runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrame(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    _ = FrameFuzzInput.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

/// What SwiftPM makes the executable's `main`.
@_cdecl("fuzz_frame_main")
public func fuzzFrameMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    runFuzzer(
        count, arguments, seeds: { try FrameFuzzSeeds.make(count: 120) },
        entry: { fuzzFrame($0, $1) })
}
