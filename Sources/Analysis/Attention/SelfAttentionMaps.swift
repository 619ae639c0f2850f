import Engine

/// Self-attention of a stored run at one level: what each place looks at, the mean over heads, layers and the steps that were kept.
public struct SelfAttentionMaps: Sendable {
  public let size: MapSize
  /// `[places, places]`: row q holds the weights with which place q looks at the others; rows sum to 1.
  public let values: [Float]
  /// Layers and steps that entered.
  public let layers: Int
  public let steps: [Int]

  /// Maps that somebody has already.
  public init(size: MapSize, values: [Float], layers: Int, steps: [Int]) {
    precondition(values.count == size.count * size.count, "\(values.count) values for \(size.count) places")
    self.size = size
    self.values = values
    self.layers = layers
    self.steps = steps
  }

  /// - Parameters:
  ///   - size: of the level.
  ///   - steps: which of the steps that were kept enter; nil for all.
  /// - Throws: `InputError` when the run kept no self-attention of this level and these steps, or it holds what is not a number.
  public init(_ run: RunFolder, image: Int, size: MapSize, steps isWanted: ((Int) -> Bool)? = nil) throws {
    let n = size.count
    var sum = [Float](repeating: 0, count: n * n)
    var count = 0
    var layers: Set<String> = []
    var steps: Set<Int> = []
    try run.replay("unet.*.attn1.probs", [.none, .heads]) { site, moment, p in
      guard p.shape[2] == n, p.shape[3] == n, isWanted?(moment.step) ?? true else { return nil }
      for (row, label) in moment.rows.enumerated() where label.image == image && label.half == .cond {
        let heads = p.shape[1]
        p.withUnsafeBuffer { p in
          for h in 0..<heads { for i in 0..<n * n { sum[i] += p[(row * heads + h) * n * n + i] / Float(heads) } }
        }
        count += 1
        layers.insert(site.path)
        steps.insert(moment.step)
      }
      return nil
    }
    guard count > 0 else {
      throw InputError(.usage, "\(run.url.relativePath): no self-attention of \(size.height)x\(size.width) places was kept")
    }
    guard sum.allSatisfy(\.isFinite) else {
      throw InputError(
        .badData, "\(run.url.relativePath): the self-attention holds values that are not numbers", hint: "make the run again")
    }
    self.size = size
    values = sum.map { $0 / Float(count) }
    self.layers = layers.count
    self.steps = steps.sorted()
  }

  /// A singular vector of the self-attention.
  public struct Component: Sendable {
    /// `[h, w]`, length 1; the sign is such that the largest loading is positive.
    public let map: [Float]
    public let singularValue: Double
    /// Its square over the sum of all squared singular values.
    public let share: Double
  }

  /// The maps of `leading`.
  public func components(_ count: Int) -> [[Float]] { leading(count).map(\.map) }

  /// Leading components as Prompt-to-Prompt shows them (Hertz et al. 2023): of the singular value decomposition of A - mean(A over axis 1) the first rows
  /// of V^T.
  ///
  /// They are the eigenvectors of B^T B, B being the centred matrix, in double.
  /// - Parameter count: as many as there are places at most.
  public func leading(_ count: Int) -> [Component] {
    let n = size.count
    var b = values.map(Double.init)
    for r in 0..<n {
      let mean = b[r * n..<(r + 1) * n].reduce(0, +) / Double(n)
      for c in 0..<n { b[r * n + c] -= mean }
    }
    let total = b.reduce(0) { $0 + $1 * $1 }
    let pairs = LeadingEigenpairs.dense(PCA.products(b, n, n, ofColumns: true), n, min(count, n))
    return zip(pairs.values, pairs.vectors).map { value, vector in
      let square = max(0, value)
      return Component(
        map: PCA.signed(vector).map(Float.init), singularValue: square.squareRoot(), share: total > 0 ? square / total : 0)
    }
  }
}
