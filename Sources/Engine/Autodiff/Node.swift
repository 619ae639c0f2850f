import Synchronization

/// What a recorded tensor remembers of how it was made: its parents and how a gradient goes back to them.
///
/// An operation makes a node only when one of its inputs has one, so a network that nobody differentiates records nothing. Nodes are numbered
/// as they are made: a parent's number is below its children's, and descending numbers are an order in which gradients are complete.
public final class Node: @unchecked Sendable {
  /// Gradient of the result in, gradients of the parents out, in their order; nil where a parent wants none.
  typealias Pullback = (_ gradient: Tensor) -> [Tensor?]

  let number: UInt64
  let shape: Shape
  private(set) var parents: [Node?]
  private var pullback: Pullback?
  /// A parameter or an input: it has no parents, and keeps the gradient that arrives.
  let isLeaf: Bool
  /// The sum of the gradients that have arrived so far.
  private(set) var gradient: Tensor?

  private static let made = Atomic<UInt64>(0)
  /// The number that the next node gets.
  static var next: UInt64 { made.load(ordering: .relaxed) }

  /// A leaf.
  init(leaf shape: Shape) {
    number = Self.made.add(1, ordering: .relaxed).oldValue
    self.shape = shape
    parents = []
    isLeaf = true
  }

  init(_ shape: Shape, parents: [Node?], _ pullback: @escaping Pullback) {
    number = Self.made.add(1, ordering: .relaxed).oldValue
    self.shape = shape
    self.parents = parents
    self.pullback = pullback
    isLeaf = false
  }

  func accumulate(_ more: Tensor) {
    precondition(more.shape == shape, "a gradient \(more.shape) for a tensor \(shape)")
    if gradient == nil { gradient = more.detached } else { gradient?.add(more.detached) }
  }

  func takeGradient() -> Tensor? {
    defer { gradient = nil }
    return gradient
  }

  /// Sends the gradient on to the parents and forgets it, them, and all that was kept for it.
  func propagate() {
    guard let gradient = takeGradient() else { return release() }
    guard let pullback else {
      preconditionFailure("a gradient was taken through the same operations before: they are forgotten as it goes")
    }
    let parents = self.parents
    let parts = pullback(gradient)
    precondition(parts.count == parents.count, "\(parts.count) gradients for \(parents.count) parents")
    for (parent, part) in zip(parents, parts) {
      if let parent, let part { parent.accumulate(part) }
    }
    release()
  }

  private func release() {
    pullback = nil
    parents = []
  }
}

/// Whether operations record at all in this task.
enum Recording {
  @TaskLocal static var isOff = false
  /// The way back that is being gone.
  @TaskLocal static var pass: BackwardPass?
}

/// Runs `body` without recording anything, whatever its inputs are: for the part of a computation that no gradient goes through.
public func withoutRecording<R>(_ body: () throws -> R) rethrows -> R { try Recording.$isOff.withValue(true, operation: body) }

/// True when an operation on these tensors has to record. One nil check a tensor when nothing records.
@inline(__always)
func records(_ a: Tensor, _ b: Tensor? = nil, _ c: Tensor? = nil, _ d: Tensor? = nil) -> Bool {
  if a.node == nil && b?.node == nil && c?.node == nil && d?.node == nil { return false }
  return !Recording.isOff
}

extension Tensor {
  /// True when gradients go back through this tensor.
  public var isRecorded: Bool { node != nil }

  /// The same values; gradients end here.
  public var detached: Tensor { Tensor(storage: storage, shape: shape) }

  /// The same values as a leaf: a tensor that gradients can be asked for (`gradients(of:for:)`).
  public func recorded() -> Tensor {
    var leaf = detached
    leaf.node = Node(leaf: shape)
    return leaf
  }

  /// This result of an operation with the way back to its parents.
  func recorded(from parents: [Tensor?], _ pullback: @escaping Node.Pullback) -> Tensor {
    var result = detached
    result.node = Node(shape, parents: parents.map { $0?.node }, pullback)
    return result
  }
}
