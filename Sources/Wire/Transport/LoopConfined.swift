/// A value that belongs to one loop's thread, carried through code that runs on others.
///
/// Work posted to a loop must be `@Sendable` and so cannot hold a connection; it can hold this,
/// which gives the value out on the loop's thread only. Beware: the last reference may be dropped
/// on any thread, so the value's deinit must not touch the loop.
public struct LoopConfined<Value>: @unchecked Sendable {
    private let held: Value
    private let loop: EventLoop

    public init(_ value: Value, to loop: EventLoop) {
        held = value
        self.loop = loop
    }

    /// The value. Our fault on any thread but the loop's.
    public var value: Value {
        loop.requireOwnThread()
        return held
    }
}
