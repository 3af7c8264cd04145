/// Goes with a batch through all sinks, and says when the last of them has put it into its queue or
/// given it up: when the batch is let go of.
final class BatchReceipt: Sendable {
    private let done: @Sendable () -> Void

    init(_ done: @escaping @Sendable () -> Void) { self.done = done }

    deinit { done() }
}
