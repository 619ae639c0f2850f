import Foundation

/// The memory behind a tensor: a buffer from the pool, or a window into something that someone else keeps alive (a memory-mapped file).
public final class Storage: @unchecked Sendable {
  /// First element. Writable only for pool buffers.
  public let pointer: UnsafeMutablePointer<Float>
  /// Bytes taken from the pool; 0 for borrowed memory.
  let capacity: Int
  /// The file that is borrowed from, or the pool that the buffer goes back to.
  private let owner: AnyObject

  /// A buffer with room for `count` floats, contents undefined.
  init(count: Int) {
    let pool = BufferPool.current
    let (p, c) = pool.take(bytes: count * MemoryLayout<Float>.stride)
    pointer = p.assumingMemoryBound(to: Float.self)
    capacity = c
    owner = pool
  }

  /// Memory that `owner` keeps alive, read only.
  public init(borrowing pointer: UnsafePointer<Float>, owner: AnyObject) {
    self.pointer = UnsafeMutablePointer(mutating: pointer)
    capacity = 0
    self.owner = owner
  }

  /// False for memory that belongs to a mapped file.
  var isWritable: Bool { capacity > 0 }

  deinit {
    (owner as? BufferPool)?.give(UnsafeMutableRawPointer(pointer), capacity: capacity)
  }
}

/// Freed activation buffers, kept for the next tensor of about the same size.
///
/// A UNet step asks for the same sizes again and again: after the first step no memory is asked of the system, and none is zeroed by it.
public final class BufferPool: @unchecked Sendable {
  /// The pool that new tensors of this task take their buffers from. One for the whole process unless a caller sets its own to count what is
  /// taken in between.
  @TaskLocal public static var current = BufferPool()

  public init() {}

  deinit { trim() }

  private let lock = NSLock()
  private var free: [Int: [UnsafeMutableRawPointer]] = [:]  // capacity -> buffers
  private var sizes: [Int] = []  // capacities with a free buffer, ascending
  private var counters = Counters()

  /// What the pool has done so far; differences of two readings tell what happened between them.
  public struct Counters: Equatable, Sendable {
    /// Buffers handed out.
    public var taken = 0
    /// Of these, the ones that had to be asked from the system.
    public var allocated = 0
    /// Bytes now in use and now lying free.
    public var bytesInUse = 0
    public var bytesFree = 0
    /// Highest `bytesInUse` so far.
    public var peakBytesInUse = 0
  }

  public var statistics: Counters { lock.withLock { counters } }

  /// Granularity and alignment: a cache line, which is also an AVX-512 register.
  private static let line = 64

  func take(bytes: Int) -> (UnsafeMutableRawPointer, capacity: Int) {
    let wanted = max(Self.line, (bytes + Self.line - 1) / Self.line * Self.line)
    lock.lock()
    defer { lock.unlock() }
    counters.taken += 1
    // Smallest free buffer that fits without wasting more than a quarter.
    var low = 0
    var high = sizes.count
    while low < high {
      let mid = (low + high) / 2
      if sizes[mid] < wanted { low = mid + 1 } else { high = mid }
    }
    if low < sizes.count, sizes[low] <= wanted + wanted / 4 {
      let capacity = sizes[low]
      let pointer = free[capacity]!.removeLast()
      if free[capacity]!.isEmpty {
        sizes.remove(at: low)
      }
      counters.bytesInUse += capacity
      counters.bytesFree -= capacity
      counters.peakBytesInUse = max(counters.peakBytesInUse, counters.bytesInUse)
      return (pointer, capacity)
    }
    counters.allocated += 1
    counters.bytesInUse += wanted
    counters.peakBytesInUse = max(counters.peakBytesInUse, counters.bytesInUse)
    return (Self.allocate(wanted), wanted)
  }

  /// Large buffers lie on large pages where the system has them: each page is a fault when it is first touched, and an entry of the processor's address
  /// cache afterwards.
  private static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    let page = 2 << 20
    guard bytes >= 2 * page else { return .allocate(byteCount: bytes, alignment: line) }
    let pointer = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: page)
    madvise(pointer, bytes, MADV_HUGEPAGE)
    return pointer
  }

  func give(_ pointer: UnsafeMutableRawPointer, capacity: Int) {
    lock.lock()
    defer { lock.unlock() }
    if free[capacity, default: []].isEmpty {
      let at = sizes.firstIndex { $0 >= capacity } ?? sizes.count
      sizes.insert(capacity, at: at)
    }
    free[capacity, default: []].append(pointer)
    counters.bytesInUse -= capacity
    counters.bytesFree += capacity
  }

  /// Returns all free buffers to the system. Called between stages (text encoder, UNet, VAE), whose sizes have nothing in common.
  public func trim() {
    lock.lock()
    defer { lock.unlock() }
    for buffers in free.values { for b in buffers { b.deallocate() } }
    free.removeAll(keepingCapacity: true)
    sizes.removeAll(keepingCapacity: true)
    counters.bytesFree = 0
  }
}
