/// Gradients of `result` for `leaves` by reverse accumulation (Linnainmaa 1970; Griewank and Walther 2008).
///
/// What the operations kept is forgotten as the gradient passes: memory falls from the first step back, and a second call for the same
/// result is a fault.
/// - Parameters:
///   - result: a recorded tensor; a scalar loss usually.
///   - seed: gradient of what one is after with respect to `result`, in its shape; ones when nil.
///   - leaves: made by `recorded()`.
/// - Returns: one gradient a leaf in its shape; nil for a leaf that `result` does not depend on.
public func gradients(of result: Tensor, seed: Tensor? = nil, for leaves: [Tensor]) -> [Tensor?] {
  let nodes = leaves.map { leaf in
    guard let node = leaf.node, node.isLeaf else { preconditionFailure("gradients are asked for a tensor that is no leaf") }
    return node
  }
  for node in nodes { _ = node.takeGradient() }
  backward([(result, seed ?? Tensor(repeating: 1, result.shape))], notBelow: 0)
  return nodes.map { $0.takeGradient() }
}

/// Lets gradients run back from `results`; they end in the leaves' nodes.
/// - Parameter first: number of the first node that belongs to this pass. An older one that is no leaf is left to the pass around this one, which
///   comes to it later: nodes are passed in descending order.
func backward(_ results: [(Tensor, Tensor)], notBelow first: UInt64) {
  let pass = BackwardPass(notBelow: first, inside: Recording.pass)
  for case let (node?, seed) in results.map({ ($0.0.node, $0.1) }) {
    node.accumulate(seed)
    pass.reach(node)
  }
  Recording.$isOff.withValue(true) {
    Recording.$pass.withValue(pass) {
      while let node = pass.next() { node.propagate() }
    }
  }
}

/// The nodes that a gradient has yet to pass, in order.
final class BackwardPass: @unchecked Sendable {
  private var order: [Node] = []
  private var seen: Set<ObjectIdentifier> = []
  private let first: UInt64
  private let outer: BackwardPass?

  init(notBelow first: UInt64, inside outer: BackwardPass?) {
    (self.first, self.outer) = (first, outer)
  }

  /// Adds `node` and all its ancestors.
  func reach(_ node: Node) {
    var pending = [node]
    while let node = pending.popLast() {
      if node.isLeaf || !seen.insert(ObjectIdentifier(node)).inserted { continue }
      if node.number < first, let outer {
        outer.reach(node)
        continue
      }
      order.append(node)
      for case let parent? in node.parents { pending.append(parent) }
    }
    order.sort { $0.number < $1.number }
  }

  func next() -> Node? { order.popLast() }
}
