import Synchronization

/// A value that is made when it is first asked for, kept, and made again after its memory was given back.
final class OnDemand<Value: Sendable>: Sendable {
  private let make: @Sendable () -> Value
  private let made = Mutex<Value?>(nil)

  init(_ make: @escaping @Sendable () -> Value) { self.make = make }

  var value: Value {
    made.withLock { made in
      if let value = made { return value }
      // In a pool of its own: what is only needed in between goes back to the system at once, and the value's memory with the value.
      let pool = BufferPool()
      let value = BufferPool.$current.withValue(pool) { make() }
      pool.trim()
      made = value
      return value
    }
  }

  /// Made for this once.
  var anew: Value { make() }

  func release() { made.withLock { $0 = nil } }
}
