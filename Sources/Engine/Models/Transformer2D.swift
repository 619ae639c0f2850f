/// What the cross-attention of the UNet looks at: the prompt's embedding, `[n, tokens, width]`.
typealias TextContext = Tensor

/// A transformer over the pixels of a feature map (Rombach et al. 2022; diffusers Transformer2DModel).
struct Transformer2D {
  let norm: GroupNorm
  let (projIn, projOut): (Linear, Linear)
  let blocks: [TransformerBlock]
  let output: Site

  init(
    _ scope: WeightScope, _ channels: Int, heads: Int, layers: Int, textWidth: Int, groups: Int, eps: Double, linearProjection: Bool,
    onlyCrossAttention: Bool
  ) {
    norm = GroupNorm(scope["norm"], channels, groups: groups, eps: eps)
    projIn = linearProjection ? Linear(scope["proj_in"], channels, channels) : Linear(pointwise: scope["proj_in"], channels, channels)
    blocks = (0..<layers).map {
      TransformerBlock(
        scope["transformer_blocks"][$0], channels, heads: heads, textWidth: textWidth, onlyCrossAttention: onlyCrossAttention)
    }
    projOut = linearProjection ? Linear(scope["proj_out"], channels, channels) : Linear(pointwise: scope["proj_out"], channels, channels)
    output = scope.site("out", "rows, height, width, channels")
  }

  func callAsFunction(_ x: Tensor, _ text: TextContext, _ context: ForwardContext) throws -> Tensor {
    if let inside = context.recomputing(x, text) { return try checkpoint([x, text]) { try self($0[0], $0[1], inside) } }
    let shape = x.shape
    var h = projIn(norm(x)).reshaped([shape[0], shape[1] * shape[2], shape[3]])
    for block in blocks { h = try block(h, text, context) }
    var y = x.reshaped([shape[0], shape[1] * shape[2], shape[3]])
    y.addLinear(h, projOut.weight, projOut.bias)
    var out = y.reshaped(shape)
    try context.visit(output, &out)
    return out
  }
}

/// Self-attention, cross-attention, gated feed-forward, each behind a layer norm and beside a residual (diffusers BasicTransformerBlock).
struct TransformerBlock {
  let (norm1, norm2, norm3): (LayerNorm, LayerNorm, LayerNorm)
  let (attn1, attn2): (AttentionLayer, AttentionLayer)
  let (feedIn, feedOut): (Linear, Linear)
  let onlyCrossAttention: Bool
  let (feed, output): (Site, Site)

  init(_ scope: WeightScope, _ channels: Int, heads: Int, textWidth: Int, onlyCrossAttention: Bool) {
    norm1 = LayerNorm(scope["norm1"], channels)
    attn1 = AttentionLayer(
      scope["attn1"], channels, context: onlyCrossAttention ? textWidth : channels, heads: heads,
      looksAt: onlyCrossAttention ? "tokens" : "pixels")
    norm2 = LayerNorm(scope["norm2"], channels)
    attn2 = AttentionLayer(scope["attn2"], channels, context: textWidth, heads: heads, looksAt: "tokens")
    norm3 = LayerNorm(scope["norm3"], channels)
    feedIn = Linear(scope["ff"]["net"][0]["proj"], channels, channels * 8)
    feedOut = Linear(scope["ff"]["net"][2], channels * 4, channels)
    self.onlyCrossAttention = onlyCrossAttention
    feed = scope["ff"].site("out", "rows, pixels, channels: before the residual")
    output = scope.site("out", "rows, pixels, channels")
  }

  func callAsFunction(_ input: Tensor, _ text: TextContext, _ context: ForwardContext) throws -> Tensor {
    var x = input
    let a = norm1(x)
    try attn1.add(to: &x, a, looksAt: onlyCrossAttention ? text : a, context)
    let b = norm2(x)
    try attn2.add(to: &x, b, looksAt: text, context)
    let gated = feedIn(norm3(x)).geglu()
    if context.wants(feed) {
      var y = feedOut(gated)
      try context.visit(feed, &y)
      x.add(y)
    } else {
      x.addLinear(gated, feedOut.weight, feedOut.bias)
    }
    try context.visit(output, &x)
    return x
  }
}

/// Multi-head attention with its projections (diffusers Attention).
struct AttentionLayer {
  let (toQ, toK, toV, toOut): (Linear, Linear, Linear, Linear)
  let heads: Int
  let (q, k, v, contribution, probs, mixed, output): (Site, Site, Site, Site, Site, Site, Site)

  init(_ scope: WeightScope, _ channels: Int, context width: Int, heads: Int, looksAt: String, bias: Bool = false) {
    toQ = Linear(scope["to_q"], channels, channels, bias: bias)
    toK = Linear(scope["to_k"], width, channels, bias: bias)
    toV = Linear(scope["to_v"], width, channels, bias: bias)
    toOut = Linear(scope["to_out"][0], channels, channels)
    self.heads = heads
    q = scope.site("q", "rows, pixels, channels (head-major)")
    k = scope.site("k", "rows, \(looksAt), channels (head-major)")
    v = scope.site("v", "rows, \(looksAt), channels (head-major)")
    contribution = scope.site(
      "contribution", "rows, \(looksAt), channels: each value after to_out, without its bias: what full attention to it would write")
    probs = scope.site("probs", "rows, heads, pixels, \(looksAt)")
    mixed = scope.site("mixed", "rows, pixels, channels (head-major): each head's output, before to_out")
    output = scope.site("out", "rows, pixels, channels: after to_out, before the residual")
  }

  /// `x += attention(h, source)`.
  func add(to x: inout Tensor, _ h: Tensor, looksAt source: Tensor, _ context: ForwardContext) throws {
    var query = toQ(h)
    func project() -> (key: Tensor, value: Tensor) { (toK(source), toV(source)) }
    var (key, value) = context.textProjections?(source, k, project) ?? project()
    try context.visit(q, &query)
    try context.visit(k, &key)
    try context.visit(v, &value)
    if context.wants(contribution) {
      var c = value.linear(toOut.weight, nil)
      try context.visit(contribution, &c)
    }
    if context.wants(probs) {
      // Computed beside the attention, so that looking never changes the picture.
      var p = Attention.probabilities(query, key, heads: heads)
      try context.visit(probs, &p)
    }
    var m = Attention.attend(query, key, value, heads: heads, inBFloat16: toQ.weight.isInBFloat16)
    try context.visit(mixed, &m)
    if context.wants(output) {
      var y = toOut(m)
      try context.visit(output, &y)
      x.add(y)
    } else {
      x.addLinear(m, toOut.weight, toOut.bias)
    }
  }
}
