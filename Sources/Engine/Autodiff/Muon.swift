/// Momentum whose update is made orthogonal, for hidden matrices (Jordan et al. 2024, "Muon"); a convolution is seen as `[out, in * kh * kw]`.
///
/// The update is scaled by 0.2 sqrt(max(rows, columns)), so that AdamW's learning rates fit (Liu et al. 2025, "Muon is scalable for LLM training").
public struct Muon: Sendable {
  public var momentum = 0.95
  public var decay = 0.01
  /// Iterations of Newton and Schulz.
  public var iterations = 5
  /// Running means of the gradient, by parameter.
  public internal(set) var means: [String: Tensor] = [:]

  public init(momentum: Double = 0.95, decay: Double = 0.01, iterations: Int = 5) {
    (self.momentum, self.decay, self.iterations) = (momentum, decay, iterations)
  }

  /// True for what Muon is meant for: matrices and kernels inside the network, not its first and last layers, nor tables of embeddings.
  public static func isHidden(_ name: String, _ shape: Shape) -> Bool {
    shape.rank >= 2 && !["conv_in", "conv_out", "embedding"].contains { name.contains($0) }
  }

  /// One step of every parameter that has a gradient and that `isMine`.
  /// - Parameter scale: factor of all gradients (`clippingFactor`).
  public mutating func step(
    _ parameters: inout Parameters, _ gradients: [String: Tensor], rate: Double, scale: Double = 1,
    where isMine: (String, Shape) -> Bool = isHidden
  ) {
    for (i, name) in parameters.names.enumerated() where isMine(name, parameters.values[i].shape) {
      guard let gradient = gradients[name] else { continue }
      let shape = parameters.values[i].shape
      let (rows, columns) = (shape[0], shape.count / shape[0])
      let (mean, update) = mixed(name, gradient, shape, Float(scale))
      means[name] = mean
      let direction = Self.orthogonalised(update.reshaped([rows, columns]), iterations: iterations)
      let keep = Float(1 - rate * decay)
      let size = Float(rate * 0.2 * Double(max(rows, columns)).squareRoot())
      let p = parameters.values[i].mutableData()
      for j in 0..<shape.count { p[j] = p[j] * keep - size * direction.data[j] }
      withExtendedLifetime(direction) {}
    }
  }

  /// The new mean, and the gradient mixed with it: Nesterov's momentum.
  private func mixed(_ name: String, _ gradient: Tensor, _ shape: Shape, _ scale: Float) -> (Tensor, Tensor) {
    precondition(gradient.shape == shape, "\(name): a gradient \(gradient.shape) for \(shape)")
    let old = means[name] ?? .zeros(shape)
    let (mean, update) = (Tensor(uninitialized: shape), Tensor(uninitialized: shape))
    let beta = Float(momentum)
    for j in 0..<shape.count {
      let g = gradient.data[j] * scale
      let m = old.data[j] + (g - old.data[j]) * (1 - beta)
      mean.storage.pointer[j] = m
      update.storage.pointer[j] = g + (m - g) * beta
    }
    return (mean, update)
  }

  /// About U V^T of the singular value decomposition `x = U S V^T`, by an odd quintic polynomial of x iterated; singular values end near 1, in
  /// about [0.7, 1.2].
  /// - Parameter x: `[rows, columns]`
  static func orthogonalised(_ x: Tensor, iterations: Int) -> Tensor {
    let isTall = x.shape[0] > x.shape[1]
    var x = isTall ? x.matrixTransposed() : x
    let (m, n) = (x.shape[0], x.shape[1])
    var squares = 0.0
    for j in 0..<x.count { squares += Double(x.data[j]) * Double(x.data[j]) }
    x = x / Float(squares.squareRoot() * 1.02 + 1e-7)
    let (a, b, c): (Float, Float, Float) = (3.4445, -4.7750, 2.0315)
    for _ in 0..<iterations {
      let gram = Tensor(uninitialized: [m, m])
      parallelProduct(
        m, m, n, Matrix(pointer: x.data, stride: n), Matrix(pointer: x.data, stride: n, transposed: true), beta: 0, gram.storage.pointer, m)
      let poly = Tensor(uninitialized: [m, m])
      parallelProduct(
        m, m, m, Matrix(pointer: gram.data, stride: m), Matrix(pointer: gram.data, stride: m), beta: 0, poly.storage.pointer, m)
      for j in 0..<m * m { poly.storage.pointer[j] = b * gram.data[j] + c * poly.data[j] }
      let next = a * x
      parallelProduct(m, n, m, Matrix(pointer: poly.data, stride: m), Matrix(pointer: x.data, stride: n), beta: 1, next.storage.pointer, n)
      x = next
    }
    return isTall ? x.matrixTransposed() : x
  }
}

extension Tensor {
  /// A matrix with rows and columns exchanged.
  fileprivate func matrixTransposed() -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let out = Tensor(uninitialized: [columns, rows])
    for r in 0..<rows { for c in 0..<columns { out.storage.pointer[c * rows + r] = data[r * columns + c] } }
    return out
  }
}
