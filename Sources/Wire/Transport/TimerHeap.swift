/// Names a timer of one `EventLoop`. A name is never right again after its timer was cancelled.
public struct TimerID: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32
}

/// A binary heap of deadlines with stable names, so that a deadline can be moved in O(log n).
///
/// A timer stays until it is cancelled; between two firings it is at rest (in no heap) until it is
/// given a deadline again. So a connection makes one timer in its life and nothing is allocated
/// when the deadline moves.
struct TimerHeap {
    private struct Slot {
        var action: (() -> Void)?
        var deadline: UInt64 = 0
        var generation: UInt32 = 0
        /// Where in `heap`; -1 at rest.
        var position = -1
    }

    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    /// Slot numbers, the earliest deadline first.
    private var heap: [UInt32] = []

    /// Timers that exist, at rest or not.
    var count: Int { slots.count - freeSlots.count }

    /// The earliest deadline; nil when every timer is at rest.
    var earliestDeadline: UInt64? { heap.isEmpty ? nil : slots[Int(heap[0])].deadline }

    /// Makes a timer at rest.
    mutating func make(_ action: @escaping () -> Void) -> TimerID {
        let number: UInt32
        if let free = freeSlots.popLast() {
            number = free
        } else {
            number = UInt32(slots.count)
            slots.append(Slot())
        }
        slots[Int(number)].action = action
        return TimerID(slot: number, generation: slots[Int(number)].generation)
    }

    /// Sets or moves the deadline. False for a name that is no longer right.
    @discardableResult
    mutating func schedule(_ id: TimerID, deadline: UInt64) -> Bool {
        guard isCurrent(id) else { return false }
        let index = Int(id.slot)
        let before = slots[index].deadline
        slots[index].deadline = deadline
        if slots[index].position < 0 {
            slots[index].position = heap.count
            heap.append(id.slot)
            siftUp(heap.count - 1)
        } else if deadline < before {
            siftUp(slots[index].position)
        } else {
            siftDown(slots[index].position)
        }
        return true
    }

    /// Puts a timer at rest without forgetting it.
    mutating func rest(_ id: TimerID) {
        guard isCurrent(id) else { return }
        remove(at: slots[Int(id.slot)].position)
    }

    /// Ends a timer; its action is released.
    mutating func cancel(_ id: TimerID) {
        guard isCurrent(id) else { return }
        remove(at: slots[Int(id.slot)].position)
        slots[Int(id.slot)].action = nil
        slots[Int(id.slot)].generation &+= 1
        freeSlots.append(id.slot)
    }

    /// Takes the earliest timer that is due, puts it at rest and returns its action.
    mutating func popDue(now: UInt64) -> (() -> Void)? {
        guard let first = heap.first, slots[Int(first)].deadline <= now else { return nil }
        remove(at: 0)
        return slots[Int(first)].action
    }

    private func isCurrent(_ id: TimerID) -> Bool {
        let index = Int(id.slot)
        return index < slots.count && slots[index].generation == id.generation
            && slots[index].action != nil
    }

    private mutating func remove(at position: Int) {
        guard position >= 0 else { return }
        let last = heap.count - 1
        if position != last { swap(position, last) }
        let number = heap.removeLast()
        slots[Int(number)].position = -1
        if position < heap.count {
            siftUp(position)
            siftDown(position)
        }
    }

    private mutating func swap(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        slots[Int(heap[a])].position = a
        slots[Int(heap[b])].position = b
    }

    private func deadline(at position: Int) -> UInt64 { slots[Int(heap[position])].deadline }

    private mutating func siftUp(_ start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / 2
            guard deadline(at: position) < deadline(at: parent) else { return }
            swap(position, parent)
            position = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var position = start
        while true {
            var child = 2 * position + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, deadline(at: child + 1) < deadline(at: child) { child += 1 }
            guard deadline(at: child) < deadline(at: position) else { return }
            swap(position, child)
            position = child
        }
    }
}
