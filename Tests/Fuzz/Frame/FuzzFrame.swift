import Wire

/// libFuzzer's entry: a stream of dictionary and frame payloads for one decoder.
///
/// Each payload has a byte in front that says what it is and two for its length, so that the fuzzer
/// can change, cut and repeat payloads. Whatever comes: nothing traps, and a decoder of everything, a
/// copy of it and a reader of one slot agree on the values.
///
/// Run it with `HEAPWIRE_FUZZ=1 swift build -c release --product fuzz-frame --scratch-path .build-fuzz`
/// and `.build-fuzz/release/fuzz-frame CORPUS -max_total_time=600`.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrame(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var limits = WireLimits()
    limits.subjects = 64
    limits.valuesPerFrame = 4_096
    let all = FrameDecoder(limits: limits)
    let some = FrameDecoder(limits: limits, selective: true)
    some.want(9)
    var rest = UnsafeRawBufferPointer(start: start, count: count)
    while rest.count >= 3 {
        let kind = rest[0]
        let length = min(Int(rest[1]) | Int(rest[2]) << 8, rest.count - 3)
        let payload = UnsafeRawBufferPointer(rebasing: rest[3..<3 + length])
        rest = UnsafeRawBufferPointer(rebasing: rest[(3 + length)...])
        if kind & 1 == 0 {
            applyDictionary(payload, limits, all, some)
        } else {
            decodeFrame(payload, all, some)
        }
    }
    return 0
}

private func applyDictionary(
    _ payload: UnsafeRawBufferPointer, _ limits: WireLimits, _ all: FrameDecoder,
    _ some: FrameDecoder
) {
    guard
        case .success(let changes) = Result(catching: { () throws(WireError) in
            try DictionaryCodec.decode(payload, limits: limits)
        })
    else { return }
    for change in changes {
        let one = Result { () throws(WireError) in try all.apply(change) }
        let other = Result { () throws(WireError) in try some.apply(change) }
        precondition(isSuccess(one) == isSuccess(other), "decoders disagree on a change")
    }
}

private func decodeFrame(
    _ payload: UnsafeRawBufferPointer, _ all: FrameDecoder, _ some: FrameDecoder
) {
    let copy = FrameDecoder(copying: all)
    let wasStale = all.isStale
    let outcome = Result { () throws(WireError) in try all.decode(payload) }
    let again = Result { () throws(WireError) in try copy.decode(payload) }
    precondition(outcome == again, "a copy disagrees")
    // A selective reader may take a frame whose other groups are not well formed.
    _ = Result { () throws(WireError) in try some.decode(payload) }
    for slot in all.layout.liveSlots {
        guard let row = all.row(of: slot) else { continue }
        precondition(copy.row(of: slot)?.elementsEqual(row) == true, "a copy differs")
        if !wasStale, !some.isStale, let part = some.row(of: slot) {
            precondition(part.elementsEqual(row), "a selective decoder differs")
        }
    }
}

private func isSuccess<Success, Failure>(_ result: Result<Success, Failure>) -> Bool {
    if case .success = result { true } else { false }
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

/// What SwiftPM makes the executable's `main`.
@_cdecl("fuzz_frame_main")
public func fuzzFrameMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments, { fuzzFrame($0, $1) })
}
