/// A place in a network where a tensor can be read or replaced.
public struct Site: Sendable, Hashable {
  /// Position in network order: the index in `WeightStore.sites`.
  public let id: Int
  /// The module's path in the one namespace, with the value's name where the module has several
  /// (`unet.mid_block.attentions.0.transformer_blocks.0.attn2.probs`).
  public let path: String
  /// What the dimensions of the tensor mean, for people (`rows, heads, pixels, tokens`).
  public let axes: String

  public init(id: Int, path: String, axes: String) {
    self.id = id
    self.path = path
    self.axes = axes
  }
}
