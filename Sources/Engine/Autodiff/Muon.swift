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
    struct Task: @unchecked Sendable {
      let rows, columns: Int
      let gradient: Tensor
      let parameter, mean: UnsafeMutablePointer<Float>
      /// Multiplications are about proportional to it.
      var work: Int { rows * columns * min(rows, columns) }
    }
    var tasks: [Task] = []
    for (i, name) in parameters.names.enumerated() where isMine(name, parameters.values[i].shape) {
      guard let gradient = gradients[name] else { continue }
      let shape = parameters.values[i].shape
      precondition(gradient.shape == shape, "\(name): a gradient \(gradient.shape) for \(shape)")
      tasks.append(
        Task(
          rows: shape[0], columns: shape.count / shape[0], gradient: gradient, parameter: parameters.values[i].mutableData(),
          mean: means[name, default: .zeros(shape)].mutableData()))
    }
    // One parameter is one thread's; the long ones first, so that none is waited for in the end.
    tasks.sort { $0.work > $1.work }
    let (keep, size, beta, iterations) = (Float(1 - rate * decay), rate * 0.2, Float(momentum), iterations)
    inParallel(tasks: tasks.count) { [tasks] index in
      let task = tasks[index]
      let update = Self.mixed(task.gradient, task.mean, Float(scale), beta).reshaped([task.rows, task.columns])
      let direction = Self.orthogonalised(update, iterations: iterations)
      let length = Float(size * Double(max(task.rows, task.columns)).squareRoot())
      let (p, d) = (task.parameter, direction.data)
      for j in 0..<direction.count { p[j] = p[j] * keep - length * d[j] }
      withExtendedLifetime(direction) {}
    }
  }

  /// Moves the mean, and gives the gradient mixed with it: Nesterov's momentum.
  private static func mixed(_ gradient: Tensor, _ mean: UnsafeMutablePointer<Float>, _ scale: Float, _ beta: Float) -> Tensor {
    let update = Tensor(uninitialized: gradient.shape)
    let (source, target) = (gradient.data, update.storage.pointer)
    for j in 0..<gradient.count {
      let g = source[j] * scale
      let m = mean[j] + (g - mean[j]) * (1 - beta)
      mean[j] = m
      target[j] = g + (m - g) * beta
    }
    withExtendedLifetime(gradient) {}
    return update
  }

  /// About U V^T of the singular value decomposition `x = U S V^T`, by an odd quintic polynomial of x iterated; singular values end near 1, in
  /// about [0.7, 1.2].
  ///
  /// x_k is a polynomial in x x^T times x. So that polynomial is iterated, on the small square matrix, and x itself is multiplied twice only: with rows a ninth of
  /// the columns, as in a 3x3 convolution, that is a third of the work.
  /// - Parameter x: `[rows, columns]`
  static func orthogonalised(_ x: Tensor, iterations: Int) -> Tensor {
    let isTall = x.shape[0] > x.shape[1]
    let x = isTall ? x.matrixTransposed() : x
    let (m, n) = (x.shape[0], x.shape[1])
    var squares = 0.0
    let data = x.data
    for j in 0..<x.count { squares += Double(data[j]) * Double(data[j]) }
    // x is divided by this norm.
    let norm = Float(squares.squareRoot() * 1.02 + 1e-7)
    let (a, b, c): (Float, Float, Float) = (3.4445, -4.7750, 2.0315)
    func square(_ first: Tensor, _ second: Tensor) -> Tensor {
      let out = Tensor(uninitialized: [m, m])
      product(m, m, m, Matrix(pointer: first.data, stride: m), Matrix(pointer: second.data, stride: m), beta: 0, out.storage.pointer, m)
      withExtendedLifetime((first, second)) {}
      return out
    }
    var gram = Tensor(uninitialized: [m, m])
    product(
      m, m, n, alpha: 1 / (norm * norm), Matrix(pointer: data, stride: n), Matrix(pointer: data, stride: n, transposed: true), beta: 0,
      gram.storage.pointer, m)
    var whole: Tensor?
    for k in 0..<iterations {
      // x_(k+1) = (a + b G + c G^2) x_k, G = x_k x_k^T; all these matrices commute.
      let factor = square(gram, gram)
      let (f, g) = (factor.storage.pointer, gram.data)
      for j in 0..<m * m { f[j] = b * g[j] + c * f[j] }
      for j in 0..<m { f[j * m + j] += a }
      whole = whole.map { square(factor, $0) } ?? factor
      if k + 1 < iterations { gram = square(square(factor, gram), factor) }
    }
    guard let whole else { return isTall ? (x / norm).matrixTransposed() : x / norm }
    let out = Tensor(uninitialized: [m, n])
    product(
      m, n, m, alpha: 1 / norm, Matrix(pointer: whole.data, stride: m), Matrix(pointer: data, stride: n), beta: 0, out.storage.pointer, n)
    withExtendedLifetime((x, whole)) {}
    return isTall ? out.matrixTransposed() : out
  }
}

extension Tensor {
  /// A matrix with rows and columns exchanged.
  fileprivate func matrixTransposed() -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let out = Tensor(uninitialized: [columns, rows])
    let (source, target) = (data, out.storage.pointer)
    for c in 0..<columns { for r in 0..<rows { target[c * rows + r] = source[r * columns + c] } }
    withExtendedLifetime(self) {}
    return out
  }
}
