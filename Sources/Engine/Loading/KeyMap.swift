/// Names of CompVis' single files (`model.diffusion_model.*`, `first_stage_model.*`, `cond_stage_model.*`, `model_ema.*`) as canonical
/// names. A table of small rules, the same mapping as diffusers' `single_file_utils.py`.
public enum KeyMap {
  /// What the rules need to know of the whole file.
  public struct Layout: Equatable, Sendable {
    /// Residual blocks per down block of the UNet.
    public var resnets = 2
    /// Levels of the VAE: its up blocks are counted from the other end.
    public var vaeLevels = 4
    /// Layers of an OpenCLIP text encoder; the last one is not used by SD 2 (hidden states of the last but one).
    public var openCLIPLayers = 24

    public init(_ names: some Sequence<String>) {
      var firstDownsampler = Int.max
      var inputs = 1
      var levels = 0
      var layers = 0
      for name in names {
        let parts = name.split(separator: ".")
        func number(after prefix: String) -> Int? {
          name.hasPrefix(prefix) ? name.dropFirst(prefix.count).split(separator: ".").first.flatMap { Int($0) } : nil
        }
        if let i = number(after: "model.diffusion_model.input_blocks."), (0..<10_000).contains(i) {
          inputs = max(inputs, i)
          if parts.count > 5, parts[5] == "op" { firstDownsampler = min(firstDownsampler, i) }
        }
        for prefix in ["", "first_stage_model."] {
          if let level = number(after: "\(prefix)decoder.up."), (0..<100).contains(level) { levels = max(levels, level + 1) }
        }
        if let layer = number(after: "cond_stage_model.model.transformer.resblocks."), (0..<10_000).contains(layer) {
          layers = max(layers, layer + 1)
        }
      }
      // Block 0 is `conv_in`; the first downsampler follows the residual blocks of the first level.
      resnets = max(1, firstDownsampler == .max ? inputs : firstDownsampler - 1)
      if levels > 0 { vaeLevels = levels }
      if layers > 0 { openCLIPLayers = layers }
    }
  }

  /// Where a stored tensor goes.
  public enum Target: Equatable, Sendable {
    case one(String)
    /// Fused query, key and value: thirds of the first dimension.
    case thirds([String])
    /// Belongs to a network, but is not used by it.
    case unused
  }

  /// - Returns: nil for what lies outside of the three networks. Unknown names inside of a network keep their own name in it, so that
  ///   they are reported as left over rather than lost.
  public static func canonical(_ name: String, _ layout: Layout) -> Target? {
    func rest(_ prefix: String) -> String? { name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : nil }
    if let inner = rest("model.diffusion_model.") { return .one("unet." + unet(inner, layout)) }
    if let inner = rest("first_stage_model.") { return .one("vae." + vae(inner, layout)) }
    if let inner = rest("cond_stage_model.transformer.") { return diffusers("text_encoder", inner) }
    if let inner = rest("cond_stage_model.model.") { return openCLIP(inner, layout) }
    return nil
  }

  /// The name under which the exponential moving average of `name` is kept: without dots (Lightning's `LitEma`).
  public static func emaName(_ name: String) -> String? {
    guard name.hasPrefix("model.diffusion_model.") else { return nil }
    return "model_ema." + name.dropFirst("model.".count).filter { $0 != "." }
  }

  // MARK: - Rules

  /// `N` stands for a number. In the result, `{down}` and `{downLayer}` are the block and the layer of input block N, `{up}` and
  /// `{upLayer}` of output block N, `{N}` is the number itself and `{reversed}` counts the VAE's levels from the other end. The first
  /// rule that fits the beginning of a name is applied, the rest of the name is kept.
  private static let unetRules = table([
    ("input_blocks.0.0", "conv_in"),
    ("input_blocks.N.0.op", "down_blocks.{down}.downsamplers.0.conv"),
    ("input_blocks.N.0", "down_blocks.{down}.resnets.{downLayer}"),
    ("input_blocks.N.1", "down_blocks.{down}.attentions.{downLayer}"),
    ("middle_block.0", "mid_block.resnets.0"),
    ("middle_block.1", "mid_block.attentions.0"),
    ("middle_block.2", "mid_block.resnets.1"),
    ("output_blocks.N.0", "up_blocks.{up}.resnets.{upLayer}"),
    ("output_blocks.N.1.conv", "up_blocks.{up}.upsamplers.0.conv"),
    ("output_blocks.N.2.conv", "up_blocks.{up}.upsamplers.0.conv"),
    ("output_blocks.N.1", "up_blocks.{up}.attentions.{upLayer}"),
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("time_embed.cond_proj", "time_embedding.cond_proj"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
  ])

  private static let unetResnetRules = table([
    ("in_layers.0", "norm1"), ("in_layers.2", "conv1"), ("out_layers.0", "norm2"), ("out_layers.3", "conv2"),
    ("emb_layers.1", "time_emb_proj"), ("skip_connection", "conv_shortcut"),
  ])

  private static let vaeRules = table([
    ("encoder.down.N.block", "encoder.down_blocks.{N}.resnets"),
    ("encoder.down.N.downsample", "encoder.down_blocks.{N}.downsamplers.0"),
    ("decoder.up.N.block", "decoder.up_blocks.{reversed}.resnets"),
    ("decoder.up.N.upsample", "decoder.up_blocks.{reversed}.upsamplers.0"),
    ("encoder.mid.block_1", "encoder.mid_block.resnets.0"),
    ("encoder.mid.block_2", "encoder.mid_block.resnets.1"),
    ("encoder.mid.attn_1", "encoder.mid_block.attentions.0"),
    ("decoder.mid.block_1", "decoder.mid_block.resnets.0"),
    ("decoder.mid.block_2", "decoder.mid_block.resnets.1"),
    ("decoder.mid.attn_1", "decoder.mid_block.attentions.0"),
    ("encoder.norm_out", "encoder.conv_norm_out"),
    ("decoder.norm_out", "decoder.conv_norm_out"),
  ])

  private static let vaeResnetRules = table([("nin_shortcut", "conv_shortcut")])

  /// CompVis' names and those of early diffusers.
  private static let vaeAttentionRules = table([
    ("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0"),
    ("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"),
  ])

  private static let openCLIPRules = table([
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("token_embedding", "embeddings.token_embedding"),
    ("ln_final", "final_layer_norm"),
    ("transformer.resblocks.N.ln_1", "encoder.layers.{N}.layer_norm1"),
    ("transformer.resblocks.N.ln_2", "encoder.layers.{N}.layer_norm2"),
    ("transformer.resblocks.N.mlp.c_fc", "encoder.layers.{N}.mlp.fc1"),
    ("transformer.resblocks.N.mlp.c_proj", "encoder.layers.{N}.mlp.fc2"),
    ("transformer.resblocks.N.attn.out_proj", "encoder.layers.{N}.self_attn.out_proj"),
    ("transformer.resblocks.N.attn.in_proj_weight", "encoder.layers.{N}.self_attn.*.weight"),
    ("transformer.resblocks.N.attn.in_proj_bias", "encoder.layers.{N}.self_attn.*.bias"),
  ])

  // MARK: - Networks

  static func unet(_ name: String, _ layout: Layout) -> String {
    let mapped = apply(unetRules, name, layout)
    return refine(mapped, after: "resnets", with: unetResnetRules, layout)
  }

  static func vae(_ name: String, _ layout: Layout) -> String {
    let mapped = apply(vaeRules, name, layout)
    return refine(refine(mapped, after: "resnets", with: vaeResnetRules, layout), after: "attentions", with: vaeAttentionRules, layout)
  }

  private static func openCLIP(_ name: String, _ layout: Layout) -> Target {
    // A file of 24 layers is the rule. One of 23 has lost the last layer already.
    let dropped = layout.openCLIPLayers == 23 ? nil : "transformer.resblocks.\(layout.openCLIPLayers - 1)."
    if ["text_projection", "logit_scale", "attn_mask"].contains(name) || dropped.map(name.hasPrefix) == true { return .unused }
    let mapped = "text_encoder.text_model." + apply(openCLIPRules, name, layout)
    guard let star = mapped.firstIndex(of: "*") else { return .one(mapped) }
    return .thirds(["q_proj", "k_proj", "v_proj"].map { mapped[..<star] + $0 + mapped[mapped.index(after: star)...] })
  }

  /// A name of a diffusers folder's `network`, whatever its age.
  public static func diffusers(_ network: String, _ name: String) -> Target {
    switch network {
    case "text_encoder":
      let full = name.hasPrefix("text_model.") || name.hasPrefix("text_projection.") ? name : "text_model.\(name)"
      return full.hasSuffix(".position_ids") ? .unused : .one("text_encoder.\(full)")
    case "vae":
      return .one("vae." + refine(name, after: "attentions", with: vaeAttentionRules, nil))
    default: return .one("\(network).\(name)")
    }
  }

  // MARK: - Applying

  private typealias Rule = (pattern: [Substring], result: String)

  private static func table(_ rules: [(String, String)]) -> [Rule] { rules.map { ($0.0[...].split(separator: "."), $0.1) } }

  private static func apply(_ rules: [Rule], _ name: String, _ layout: Layout?) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    for (pattern, result) in rules where parts.count >= pattern.count {
      var n = 0
      let fits = zip(pattern, parts).allSatisfy { wanted, part in
        guard wanted == "N" else { return wanted == part }
        guard let number = Int(part), (0..<10_000).contains(number) else { return false }
        n = number
        return true
      }
      guard fits else { continue }
      let out = layout.map { fill(result, n, $0) } ?? result
      return ([out[...]] + parts.dropFirst(pattern.count)).joined(separator: ".")
    }
    return name
  }

  private static func fill(_ result: String, _ n: Int, _ layout: Layout) -> String {
    guard result.contains("{") else { return result }
    let perBlock = layout.resnets + 1  // a down block's downsampler, an up block's additional residual block
    let values = [
      "{N}": n, "{down}": (n - 1) / perBlock, "{downLayer}": (n - 1) % perBlock, "{up}": n / perBlock, "{upLayer}": n % perBlock,
      "{reversed}": layout.vaeLevels - 1 - n,
    ]
    var out = result
    for (key, value) in values {
      if let range = out.range(of: key) { out.replaceSubrange(range, with: String(value)) }
    }
    return out
  }

  /// Applies `rules` to what follows `….<kind>.<number>.`.
  private static func refine(_ name: String, after kind: String, with rules: [Rule], _ layout: Layout?) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let at = parts.firstIndex(of: kind[...]), at + 2 < parts.count else { return name }
    let head = parts[...(at + 1)].joined(separator: ".")
    return head + "." + apply(rules, parts[(at + 2)...].joined(separator: "."), layout)
  }
}
