import Engine
import Foundation

/// `body` of each of `0..<count`, on all threads. Results come in order, whichever thread was first; of several errors the first in that order is thrown.
///
/// What `body` does may depend on its number alone.
func inParallel<Value: Sendable>(_ count: Int, _ body: (Int) throws -> Value) throws -> [Value] {
  let found = Found<Value>(count)
  inParallel(tasks: count) { i in
    do { found.set(i, .success(try body(i))) } catch { found.set(i, .failure(error)) }
  }
  return try found.all()
}

private final class Found<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Result<Value, any Error>?]
  init(_ count: Int) { values = Array(repeating: nil, count: count) }
  func set(_ i: Int, _ value: Result<Value, any Error>) { lock.withLock { values[i] = value } }
  func all() throws -> [Value] { try lock.withLock { try values.compactMap { try $0?.get() } } }
}
