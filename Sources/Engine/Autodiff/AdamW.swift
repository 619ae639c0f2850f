import Foundation

/// Adam with decoupled weight decay (Kingma and Ba 2015; Loshchilov and Hutter 2019), in the order of torch.optim.AdamW's operations.
public struct AdamW: Sendable {
  public var beta1 = 0.9
  public var beta2 = 0.999
  public var epsilon = 1e-8
  /// Steps taken so far.
  public internal(set) var steps = 0
  /// Running means of the gradient and of its square, by parameter; they appear with a parameter's first gradient.
  public internal(set) var means: [String: Tensor] = [:]
  public internal(set) var squares: [String: Tensor] = [:]

  public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
    (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
  }

  /// One step of every parameter that has a gradient and that `isMine`.
  /// - Parameters:
  ///   - decay: weight decay of a parameter, by its name and shape.
  ///   - scale: factor of all gradients (`clippingFactor`).
  public mutating func step(
    _ parameters: inout Parameters, _ gradients: [String: Tensor], rate: Double, decay: (String, Shape) -> Double = { _, _ in 0.01 },
    scale: Double = 1, where isMine: (String) -> Bool = { _ in true }
  ) {
    steps += 1
    let correction1 = 1 - pow(beta1, Double(steps))
    let root = (1 - pow(beta2, Double(steps))).squareRoot()
    for (i, name) in parameters.names.enumerated() where isMine(name) {
      guard let gradient = gradients[name] else { continue }
      let shape = parameters.values[i].shape
      precondition(gradient.shape == shape, "\(name): a gradient \(gradient.shape) for \(shape)")
      let keep = Float(1 - rate * decay(name, shape))
      let p = parameters.values[i].mutableData()
      let m = means[name, default: .zeros(shape)].mutableData()
      let v = squares[name, default: .zeros(shape)].mutableData()
      let (b1, b2, size) = (Float(beta1), Float(beta2), Float(rate / correction1))
      parallel(shape.count, grain: 16384) { r in
        Kernel.table.adam_step(
          p + r.lowerBound, gradient.data + r.lowerBound, m + r.lowerBound, v + r.lowerBound, r.count, Float(scale), b1, b2, keep, size,
          Float(root), Float(epsilon))
      }
      withExtendedLifetime(gradient) {}
    }
  }
}
