import Foundation
import Kernels
import Synchronization

/// The threads behind `parallel`: one less than `Threads.count`, for who asks takes part.
///
/// A network's pass is some hundred short pieces of work with little between them, and to wake a sleeping thread takes as long as a small one (on a virtual machine 50 to 100
/// microseconds). So they look for the next piece for a while before they sleep, as OpenMP's threads do.
final class Workers: @unchecked Sendable {
  static let shared = Workers(Threads.count - 1)

  /// How often a worker looks for work before it sleeps: about 0.2 ms.
  private static let patience = 10_000

  private let count: Int
  /// True while somebody's piece of work is under way.
  private let isTaken = Atomic<Bool>(false)
  /// Twice the number of the piece, plus 1 while it is open; times `unit`, plus the workers that are at it.
  private let state = Atomic<Int>(0)
  private static let unit = 1 << 16
  /// Workers that sleep, or are about to.
  private let sleepers = Atomic<Int>(0)
  private let condition = NSCondition()

  // Of the open piece. Read only by who has joined it, written only when nobody has.
  private let next = Atomic<Int>(0)
  nonisolated(unsafe) private var tasks = 0
  nonisolated(unsafe) private var body: (Int) -> Void = { _ in }

  private init(_ count: Int) {
    self.count = count
    for i in 0..<max(0, count) {
      let thread = Thread { self.work() }
      thread.name = "sdlab worker \(i + 1)"
      thread.stackSize = 8 << 20
      thread.start()
    }
  }

  /// Runs `body` for each of `0..<tasks`, as threads become free.
  /// - Returns: false when the threads are at something else; then nothing was run.
  func run(_ tasks: Int, _ body: (Int) -> Void) -> Bool {
    guard count > 0, isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return false }
    withoutActuallyEscaping(body) { escaping in
      (self.tasks, self.body) = (tasks, escaping)
      next.store(0, ordering: .relaxed)
      let open = state.add(Self.unit, ordering: .sequentiallyConsistent).newValue
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { condition.withLock { condition.broadcast() } }
      share()
      // Closed: who has not come by now need not. Who has will be done soon.
      state.add(Self.unit, ordering: .acquiringAndReleasing)
      var looks = 0
      while state.load(ordering: .acquiring) != open + Self.unit { Self.wait(&looks) }
      self.body = { _ in }
    }
    isTaken.store(false, ordering: .releasing)
    return true
  }

  /// Between two looks: now and then others that want the processor get it, or who waits would keep it from who is waited for.
  private static func wait(_ looks: inout Int) {
    looks += 1
    if looks % 128 == 0 { sched_yield() } else { sdl_pause() }
  }

  /// Takes tasks until there are none.
  private func share() {
    while true {
      let task = next.add(1, ordering: .relaxed).oldValue
      if task >= tasks { return }
      body(task)
    }
  }

  private func work() {
    var last = 0
    while true {
      join(&last)
      share()
      state.subtract(1, ordering: .releasing)
    }
  }

  /// Waits for an open piece other than the last, and joins it.
  private func join(_ last: inout Int) {
    var looks = 0
    while true {
      let seen = state.load(ordering: .acquiring)
      let piece = seen / Self.unit
      if piece % 2 == 1, piece != last {
        guard state.compareExchange(expected: seen, desired: seen + 1, ordering: .acquiring).exchanged else { continue }
        last = piece
        return
      }
      if looks < Self.patience {
        Self.wait(&looks)
      } else {
        sleep(untilNot: last)
        looks = 0
      }
    }
  }

  private func sleep(untilNot last: Int) {
    condition.withLock {
      sleepers.add(1, ordering: .sequentiallyConsistent)
      while true {
        let piece = state.load(ordering: .sequentiallyConsistent) / Self.unit
        if piece % 2 == 1 && piece != last { break }
        condition.wait()
      }
      sleepers.subtract(1, ordering: .sequentiallyConsistent)
    }
  }
}
