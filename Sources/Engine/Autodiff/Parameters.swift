/// The trainable tensors of a model by their canonical names, in one fixed order: what an optimiser, a checkpoint and a moving average walk.
public struct Parameters: Sendable {
  public let names: [String]
  /// PyTorch's shapes and order of dimensions.
  public var values: [Tensor]
  private let index: [String: Int]

  public init(_ values: [(name: String, tensor: Tensor)]) {
    names = values.map(\.name)
    self.values = values.map(\.tensor)
    index = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
  }

  /// All tensors that the networks have taken from `store`, sorted by name. Small copies of what lies in files.
  /// - Throws: `InputError` when a tensor holds something that is no finite number.
  public init(_ store: WeightStore) throws {
    self.init(
      try store.taken.sorted().compactMap { name in
        guard let stored = store.tensors[name] else { return nil }
        var tensor = try stored.float32()
        _ = tensor.mutableData()
        return (name, tensor)
      })
  }

  public subscript(_ name: String) -> Tensor? { index[name].map { values[$0] } }

  /// These and others behind them.
  public func adding(_ more: [(name: String, tensor: Tensor)]) -> Parameters { Parameters(zip(names, values).map { ($0, $1) } + more) }

  /// Number of numbers.
  public var count: Int { values.reduce(0) { $0 + $1.count } }

  /// These tensors as the weights that networks are built from, recorded.
  /// - Parameter isTrained: parameters for which it is false are plain tensors: frozen.
  public func recorded(where isTrained: (String) -> Bool = { _ in true }) -> RecordedParameters {
    RecordedParameters(zip(names, values).map { ($0, isTrained($0) ? $1.recorded() : $1.detached) })
  }
}

/// Parameters as leaves of one forward pass: networks are built from `store`, and gradients asked for by name.
public struct RecordedParameters {
  public let store: WeightStore
  /// All of them, recorded and frozen.
  let tensors: [String: Tensor]
  private let leaves: [(name: String, tensor: Tensor)]

  init(_ tensors: [(name: String, tensor: Tensor)]) {
    self.tensors = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) })
    store = WeightStore(inMemory: self.tensors)
    leaves = tensors.filter { $0.tensor.isRecorded }
  }

  public subscript(_ name: String) -> Tensor? { tensors[name] }

  /// Gradients of `loss` by name; parameters that it does not depend on are absent.
  public func gradients(of loss: Tensor) -> [String: Tensor] {
    let found = Engine.gradients(of: loss, for: leaves.map(\.tensor))
    return Dictionary(uniqueKeysWithValues: zip(leaves, found).compactMap { leaf, gradient in gradient.map { (leaf.name, $0) } })
  }
}
