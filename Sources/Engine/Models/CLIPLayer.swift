/// What the layers of CLIP's two towers have in common.
protocol CLIPTransformerConfig {
  var hiddenSize: Int { get }
  var intermediateSize: Int { get }
  var layers: Int { get }
  var heads: Int { get }
  var activation: CLIPTextConfig.Activation { get }
  var layerNormEps: Double { get }
}

/// A layer of CLIP's text encoder (causal) or of its vision tower: x + attention(norm(x)), then x + mlp(norm(x)).
struct CLIPLayer {
  let norm1: LayerNorm
  let (q, k, v, out): (Linear, Linear, Linear, Linear)
  let norm2: LayerNorm
  let (fc1, fc2): (Linear, Linear)
  let heads: Int
  /// A token sees those before it and itself.
  let causal: Bool
  let activation: CLIPTextConfig.Activation
  let (probs, output): (Site, Site)

  init(_ scope: WeightScope, _ config: some CLIPTransformerConfig, causal: Bool) {
    self.causal = causal
    let width = config.hiddenSize
    norm1 = LayerNorm(scope["layer_norm1"], width, eps: config.layerNormEps)
    let attention = scope["self_attn"]
    q = Linear(attention["q_proj"], width, width)
    k = Linear(attention["k_proj"], width, width)
    v = Linear(attention["v_proj"], width, width)
    out = Linear(attention["out_proj"], width, width)
    probs = attention.site("probs", "rows, heads, tokens, tokens")
    norm2 = LayerNorm(scope["layer_norm2"], width, eps: config.layerNormEps)
    fc1 = Linear(scope["mlp"]["fc1"], width, config.intermediateSize)
    fc2 = Linear(scope["mlp"]["fc2"], config.intermediateSize, width)
    output = scope.site("out", "rows, tokens, width")
    heads = config.heads
    activation = config.activation
  }

  func callAsFunction(_ input: Tensor, _ context: ForwardContext) throws -> Tensor {
    if let inside = context.recomputing(input) { return try checkpoint([input]) { try self($0[0], inside) } }
    var x = input
    let h = norm1(x)
    let (query, key) = (q(h), k(h))
    if context.wants(probs) {
      var p = Attention.probabilities(query, key, heads: heads, causal: causal)
      try context.visit(probs, &p)
    }
    x.addLinear(Attention.attend(query, key, v(h), heads: heads, causal: causal), out.weight, out.bias)
    var m = fc1(norm2(x))
    switch activation {
    case .quickGELU: m.quickGELU()
    case .gelu: m.gelu()
    }
    x.addLinear(m, fc2.weight, fc2.bias)
    try context.visit(output, &x)
    return x
  }
}
