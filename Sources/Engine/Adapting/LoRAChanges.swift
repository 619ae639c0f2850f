extension LoRA {
  /// What is added to one weight, in figures.
  public struct Change: Sendable, Encodable {
    /// Canonical name of the weight.
    public let weight: String
    public let rank: Int
    /// As the file says; the rank where it says nothing.
    public let alpha: Double
    /// Frobenius norm of what is added, the adapter's weight counted, by that of the weight itself.
    public let relativeNorm: Double
  }

  /// What this adapter changes in a model, in the order of the weights' names. Each of the weights is read once.
  /// - Throws: `InputError` when the adapter does not fit the model.
  public func changes(in weights: WeightStore) throws -> [Change] {
    try deltas(for: weights.tensors.mapValues(\.shape)).sorted { $0.key < $1.key }.compactMap { name, delta in
      guard let stored = weights.tensors[name] else { return nil }
      let own = try stored.float32().norm
      return Change(weight: name, rank: delta.rank, alpha: delta.alpha, relativeNorm: own > 0 ? delta.values().norm / own : .infinity)
    }
  }
}

extension Tensor {
  /// Frobenius norm, summed in double.
  fileprivate var norm: Double { array.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() }
}
