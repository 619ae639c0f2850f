/// Grad-CAM's map (Selvaraju et al., ICCV 2017): `max(0, sum over k of a_k A_k)` with `a_k` the mean over all places of the score's gradient by channel k.
/// - Parameters:
///   - features: A, `[1, h, w, c]`.
///   - gradient: of the score by A, of the same shape.
/// - Returns: `[h, w]`
public func classActivation(_ features: Tensor, gradient: Tensor) -> [Float] {
  precondition(features.shape == gradient.shape && features.shape[0] == 1, "\(features.shape) and \(gradient.shape)")
  let (places, channels) = (features.shape[1] * features.shape[2], features.shape[3])
  let (values, slopes) = (features.array, gradient.array)
  let weights = (0..<channels).map { k in (0..<places).reduce(0.0) { $0 + Double(slopes[$1 * channels + k]) } / Double(places) }
  return (0..<places).map { p in
    Float(max(0, (0..<channels).reduce(0.0) { $0 + weights[$1] * Double(values[p * channels + $1]) }))
  }
}
