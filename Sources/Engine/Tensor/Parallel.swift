import COpenBLAS
import Foundation

/// The one owner of threads. BLAS runs single-threaded inside our own partitioning (measured, see ARCHITECTURE.md), so that every
/// operation uses all cores, not only the matrix products, and a result depends on the number of chunks, not on a race.
public enum Threads {
  /// Number of threads used by every operation: the processors this process may run on, or `SDLAB_THREADS`.
  public static let count: Int = {
    openblas_set_num_threads(1)
    let wanted = ProcessInfo.processInfo.environment["SDLAB_THREADS"].flatMap(Int.init) ?? ProcessInfo.processInfo.activeProcessorCount
    return max(1, min(wanted, 256))
  }()

  /// For those who call BLAS outside of `parallel`: from here on it has one thread.
  package static func takeFromBLAS() { _ = count }
}

/// Splits `0..<n` into at most `Threads.count` contiguous ranges of at least `grain` elements and runs `body` on them at the same time.
///
/// `body` must write disjoint memory for disjoint ranges. It runs on the calling thread when there is only one range.
func parallel(_ n: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
  inChunks(n, chunkCount(n, grain)) { _, range in body(range) }
}

/// The same, with `scratch` floats for each range to work in. One buffer is taken for all before they start: how many buffers an operation
/// takes must not depend on which thread is faster.
func parallel(_ n: Int, grain: Int = 1, scratch: Int, _ body: (Range<Int>, UnsafeMutablePointer<Float>) -> Void) {
  let chunks = chunkCount(n, grain)
  let buffer = Storage(count: chunks * scratch)
  inChunks(n, chunks) { chunk, range in body(range, buffer.pointer + chunk * scratch) }
  withExtendedLifetime(buffer) {}
}

private func chunkCount(_ n: Int, _ grain: Int) -> Int { max(1, min(Threads.count, n / max(grain, 1))) }

private func inChunks(_ n: Int, _ chunks: Int, _ body: (Int, Range<Int>) -> Void) {
  if n <= 0 { return }
  if chunks == 1 { return body(0, 0..<n) }
  onThreads(chunks) { body($0, n * $0 / chunks..<n * ($0 + 1) / chunks) }
}

/// `body` of each of `0..<tasks`, as threads become free.
private func onThreads(_ tasks: Int, _ body: (Int) -> Void) {
  if Workers.shared.run(tasks, body) { return }
  // A piece within a piece, or beside another thread's.
  withoutActuallyEscaping(body) { escaping in
    nonisolated(unsafe) let run = escaping
    DispatchQueue.concurrentPerform(iterations: tasks) { run($0) }
  }
}

/// Runs `body` for each of `0..<tasks`, as threads become free.
///
/// What a task does may depend on its number alone, never on the thread or on `Threads.count`: then neither does the result. Tasks must write
/// disjoint memory.
package func inParallel(tasks: Int, _ body: (Int) -> Void) {
  if tasks <= 0 { return }
  if Threads.count == 1 || tasks == 1 {
    for task in 0..<tasks { body(task) }
    return
  }
  onThreads(tasks, body)
}
