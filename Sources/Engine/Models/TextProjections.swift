/// Keys and values that the cross-attentions of a UNet make of one text, computed when they are first asked for.
///
/// The text of a run is the same in every step, and so are they: 2 x rows x tokens x channels numbers a layer, 15 MB for Stable Diffusion 1.5 with guidance. One
/// thread at a time uses it, that of the run.
final class TextProjections {
  /// `[n, tokens, width]`
  let text: Tensor
  private var known: [Int: (key: Tensor, value: Tensor)] = [:]

  init(of text: Tensor) { self.text = text }

  /// - Parameters:
  ///   - source: what an attention looks at; only this very text is remembered. Holding it here keeps its memory from being another tensor's.
  ///   - site: the attention's own, by which it is found again.
  func callAsFunction(_ source: Tensor, _ site: Site, _ make: () -> (key: Tensor, value: Tensor)) -> (key: Tensor, value: Tensor) {
    guard source.data == text.data, source.shape == text.shape else { return make() }
    if let pair = known[site.id] { return pair }
    let pair = make()
    known[site.id] = pair
    return pair
  }
}
