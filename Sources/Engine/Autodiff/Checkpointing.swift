/// Runs `body` without keeping what is inside it, and runs it a second time when the gradient comes back (Chen et al. 2016, "Training deep
/// nets with sublinear memory cost").
///
/// The same operations run on the same values; time is exchanged for memory. Gradients differ by rounding where a tensor is used inside and outside, since its
/// parts are added in another order.
/// - Parameters:
///   - inputs: what `body` is called with. Gradients also go back to recorded tensors that `body` holds in another way, such as parameters.
///   - body: the same inputs must give the same result.
public func checkpoint(_ inputs: [Tensor], _ body: @escaping ([Tensor]) throws -> Tensor) throws -> Tensor {
  if Recording.isOff { return try body(inputs) }
  let result = try withoutRecording { try body(inputs.map(\.detached)) }
  return result.recorded(from: inputs) { gradient in
    let first = Node.next
    let leaves = inputs.map { $0.node == nil ? $0 : $0.recorded() }
    let again = Recording.$isOff.withValue(false) { try? body(leaves) }
    guard let again else { preconditionFailure("a part of a network that ran once fails when it is recomputed") }
    backward([(again, gradient)], notBelow: first)
    return leaves.map { $0.node?.takeGradient() }
  }
}
