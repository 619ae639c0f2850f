import Engine

extension Parameters {
  /// The same names and shapes with weights drawn anew, to train from scratch: PyTorch's defaults for the UNet and the VAE (uniform in ±1/sqrt(inputs),
  /// biases too, norms 1 and 0), the last convolution of the UNet zero so that it begins with no opinion, and a deviation of 0.02 for the text encoder.
  public func initialised(seed: UInt64) -> Parameters {
    var random = TorchRandom(seed: seed)
    let inputs = Dictionary(
      uniqueKeysWithValues: zip(names, values).filter { $0.0.hasSuffix(".weight") && $0.1.shape.rank >= 2 }.map { name, tensor in
        (String(name.dropLast(7)), tensor.shape.count / tensor.shape[0])
      })
    return Parameters(
      zip(names, values).map { name, tensor in
        let count = tensor.count
        let module = String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
        let drawn: [Float]
        if name.hasPrefix("unet.conv_out.") {
          drawn = [Float](repeating: 0, count: count)
        } else if inputs[module] == nil {
          // Norms: a weight of 1, a bias of 0.
          drawn = [Float](repeating: name.hasSuffix(".weight") ? 1 : 0, count: count)
        } else if name.hasPrefix("text_encoder.") {
          drawn = name.hasSuffix(".bias") ? [Float](repeating: 0, count: count) : random.normal(count: count).map { 0.02 * $0 }
        } else {
          let bound = 1 / Float(inputs[module] ?? 1).squareRoot()
          drawn = random.uniform(count: count).map { (2 * $0 - 1) * bound }
        }
        return (name, Tensor(drawn, tensor.shape))
      })
  }
}
