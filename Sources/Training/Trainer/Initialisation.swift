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

  /// The same with weights drawn anew for what is trained alone; what is frozen stays as it is.
  public func initialised(seed: UInt64, where isTrained: (String) -> Bool) -> Parameters {
    let drawn = initialised(seed: seed)
    return Parameters(names.indices.map { (names[$0], isTrained(names[$0]) ? drawn.values[$0] : values[$0]) })
  }

  /// These with the vectors of some tokens drawn anew: for words that a text encoder has come to take for each other, so that nothing behind it can tell them apart either.
  ///
  /// They are four times as long as the table's are on average: a word that was not listened to has to be heard over its neighbours.
  /// - Parameter tokens: rows of the table of token embeddings.
  public func redrawingTokens(_ tokens: Set<Int>, seed: UInt64) -> Parameters {
    Parameters(
      zip(names, values).map { name, tensor in
        guard name == "text_encoder.text_model.embeddings.token_embedding.weight" else { return (name, tensor) }
        let width = tensor.shape[1]
        var table = tensor.array
        let length = 4 * (table.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(1, table.count))).squareRoot()
        for token in tokens.sorted() {
          var random = TorchRandom(seed: seed &+ UInt64(token))
          for (i, value) in random.normal(count: width).enumerated() { table[token * width + i] = Float(length) * value }
        }
        return (name, Tensor(table, tensor.shape))
      })
  }
}
