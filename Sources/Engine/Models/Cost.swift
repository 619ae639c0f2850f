/// What a network's pass costs, counted from its config alone: for estimates before anything is computed.
///
/// Only matrix products are counted (convolutions, linear layers, attention); norms and activations add a few percent of time and no figure that
/// anybody compares. One multiply-add is two FLOPs.
public struct Cost: Sendable, Equatable {
  /// Multiply-adds.
  public internal(set) var multiplyAdds = 0.0
  /// Floats of activations that live at the same time at the worst moment.
  public internal(set) var activations = 0.0

  /// Floats of transformed convolution weights that are kept beside the weights themselves (`Winograd`); the same for any number of rows.
  public internal(set) var transformedWeights = 0.0

  public var flops: Double { 2 * multiplyAdds }

  /// Floats that are kept for later (skip connections) while other things are computed.
  private var held = 0.0

  fileprivate init() {}

  /// The cost for a batch of `rows`.
  public func times(_ rows: Int) -> Cost {
    var out = self
    out.multiplyAdds *= Double(rows)
    out.activations *= Double(rows)
    return out
  }

  fileprivate mutating func linear(_ rows: Int, _ input: Int, _ output: Int) {
    multiplyAdds += Double(rows) * Double(input) * Double(output)
  }

  fileprivate mutating func convolution(_ area: Area, _ input: Int, _ output: Int, isStrided: Bool = false) {
    linear(area.count, 9 * input, output)
    if !isStrided, Winograd.keeps(Winograd.Tile(height: area.height, width: area.width), input, output),
      Winograd.pays(height: area.height, width: area.width, input: input, output: output)
    {
      transformedWeights += Double(36 * input * output)
    }
  }

  /// `floats` live beside what is held.
  fileprivate mutating func needs(_ floats: Int) { activations = max(activations, held + Double(floats)) }

  fileprivate mutating func hold(_ floats: Int) { held += Double(floats) }

  fileprivate mutating func resnet(_ area: Area, _ input: Int, _ output: Int, timeWidth: Int? = nil) {
    convolution(area, input, output)
    convolution(area, output, output)
    if input != output { linear(area.count, input, output) }
    if let timeWidth { linear(1, timeWidth, output) }
    // The input, its normalized copy, the first convolution's result and its normalized copy, the residual where the width changes.
    needs(area.count * (2 * input + (input == output ? 2 : 3) * output))
  }

  /// Scores and values: 2 q k c; the projections are the caller's.
  fileprivate mutating func attention(_ queries: Int, _ keys: Int, _ width: Int) {
    multiplyAdds += 2 * Double(queries) * Double(keys) * Double(width)
  }

  fileprivate mutating func transformer(_ area: Area, _ width: Int, layers: Int, tokens: Int, textWidth: Int, onlyCross: Bool) {
    let n = area.count
    linear(n, width, 2 * width)  // into the transformer and out of it
    for _ in 0..<layers {
      for (keys, keyWidth) in [onlyCross ? (tokens, textWidth) : (n, width), (tokens, textWidth)] {
        linear(n, width, 2 * width)
        linear(keys, keyWidth, 2 * width)
        attention(n, keys, width)
      }
      linear(n, width, 8 * width)
      linear(n, 4 * width, width)
    }
    // Input, running sum, the gate's 8 and its result's 4 widths.
    needs(n * width * 14)
  }
}

/// Height and width in positions.
private struct Area {
  var height: Int
  var width: Int
  var count: Int { height * width }
  func doubled() -> Area { Area(height: 2 * height, width: 2 * width) }
}

extension UNetConfig {
  /// One row of one pass over latents of `height` x `width` positions with a prompt of `tokens`. Classifier-free guidance takes two rows an image.
  ///
  /// Stable Diffusion 1.5 at 64 x 64: 401 G multiply-adds.
  public func cost(height: Int, width: Int, tokens: Int) -> Cost {
    var cost = Cost()
    let channels = blockOutChannels
    let levels = channels.count
    let timeWidth = 4 * channels[0]
    cost.linear(1, channels[0], timeWidth)
    cost.linear(1, timeWidth, timeWidth)
    if let timeCondProjDim { cost.linear(1, timeCondProjDim, channels[0]) }

    var area = Area(height: height, width: width)
    cost.convolution(area, inChannels, channels[0])
    var skips = [(area, channels[0])]
    cost.hold(area.count * channels[0])
    func transformer(_ level: Int, neverOnlyCross: Bool = false) {
      cost.transformer(
        area, channels[level], layers: transformerLayers[level], tokens: tokens, textWidth: crossAttentionDim,
        onlyCross: !neverOnlyCross && onlyCrossAttention[level])
    }
    func keep(_ width: Int) {
      skips.append((area, width))
      cost.hold(area.count * width)
    }
    for level in 0..<levels {
      for j in 0..<layersPerBlock[level] {
        cost.resnet(area, j == 0 ? channels[max(0, level - 1)] : channels[level], channels[level], timeWidth: timeWidth)
        if downHasAttention[level] { transformer(level) }
        keep(channels[level])
      }
      if level < levels - 1 {
        let extra = downsamplePadding == 0 ? 0 : 1
        area = Area(height: max(1, (area.height + extra) / 2), width: max(1, (area.width + extra) / 2))
        cost.convolution(area, channels[level], channels[level], isStrided: true)
        keep(channels[level])
      }
    }
    cost.resnet(area, channels[levels - 1], channels[levels - 1], timeWidth: timeWidth)
    transformer(levels - 1, neverOnlyCross: true)
    cost.resnet(area, channels[levels - 1], channels[levels - 1], timeWidth: timeWidth)
    var arriving = channels[levels - 1]
    for level in (0..<levels).reversed() {
      for _ in 0...layersPerBlock[level] {
        let (_, skip) = skips.removeLast()
        cost.needs(area.count * 2 * (arriving + skip))
        cost.hold(-area.count * skip)
        cost.resnet(area, arriving + skip, channels[level], timeWidth: timeWidth)
        arriving = channels[level]
        if upHasAttention[levels - 1 - level] { transformer(level) }
      }
      if level > 0, let next = skips.last {
        area = next.0
        cost.convolution(area, arriving, arriving)
        cost.needs(area.count * 2 * arriving)
      }
    }
    cost.convolution(area, channels[0], outChannels)
    return cost
  }
}

extension VAEConfig {
  /// A picture out of latents of `height` x `width` positions, untiled. Stable Diffusion at 512 x 512: 1240 G multiply-adds.
  public func decoderCost(height: Int, width: Int) -> Cost {
    var cost = Cost()
    var area = Area(height: height, width: width)
    let channels = Array(blockOutChannels.reversed())
    if usePostQuantConv { cost.linear(area.count, latentChannels, latentChannels) }
    cost.convolution(area, latentChannels, channels[0])
    middle(area, channels[0], &cost)
    for (level, width) in channels.enumerated() {
      for j in 0...layersPerBlock { cost.resnet(area, j == 0 ? channels[max(0, level - 1)] : width, width) }
      if level < channels.count - 1 {
        let small = area.count * width
        area = area.doubled()
        cost.convolution(area, width, width)
        cost.needs(small + 2 * area.count * width)
      }
    }
    cost.convolution(area, blockOutChannels[0], outChannels)
    return cost
  }

  /// Latents of `height` x `width` positions out of a picture, untiled.
  public func encoderCost(height: Int, width: Int) -> Cost {
    var cost = Cost()
    var area = Area(height: height * factor, width: width * factor)
    cost.convolution(area, inChannels, blockOutChannels[0])
    for (level, width) in blockOutChannels.enumerated() {
      for j in 0..<layersPerBlock { cost.resnet(area, j == 0 ? blockOutChannels[max(0, level - 1)] : width, width) }
      if level < blockOutChannels.count - 1 {
        area = Area(height: area.height / 2, width: area.width / 2)
        cost.convolution(area, width, width, isStrided: true)
      }
    }
    let width = blockOutChannels[blockOutChannels.count - 1]
    middle(area, width, &cost)
    cost.convolution(area, width, 2 * latentChannels)
    if useQuantConv { cost.linear(area.count, 2 * latentChannels, 2 * latentChannels) }
    return cost
  }

  private func middle(_ area: Area, _ width: Int, _ cost: inout Cost) {
    cost.resnet(area, width, width)
    if midBlockAddAttention {
      cost.linear(area.count, width, 4 * width)
      cost.attention(area.count, area.count, width)
      cost.needs(area.count * width * 6)
    }
    cost.resnet(area, width, width)
  }
}

extension CLIPTextConfig {
  /// One row of `tokens`. The causal mask saves nothing here: blocks of scores are computed whole.
  public func cost(tokens: Int) -> Cost {
    var cost = Cost()
    for _ in 0..<layers {
      cost.linear(tokens, hiddenSize, 4 * hiddenSize)
      cost.attention(tokens, tokens, hiddenSize)
      cost.linear(tokens, hiddenSize, 2 * intermediateSize)
    }
    cost.needs(tokens * (5 * hiddenSize + intermediateSize))
    return cost
  }
}
