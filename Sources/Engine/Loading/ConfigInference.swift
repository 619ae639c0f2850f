import Foundation

/// The configs that a single file does not carry, from the shapes of its tensors, in diffusers' keys. What shapes cannot tell (number of
/// heads, activation, scheduler) is taken from the models that such files come from: Stable Diffusion 1.5 and 2.1.
struct ConfigInference {
  /// Canonical name to shape.
  private let shapes: [String: [Int]]
  /// For error lines.
  private let label: String

  init(_ tensors: [StoredTensor], label: String) {
    shapes = Dictionary(tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { a, _ in a })
    self.label = label
  }

  /// True for Stable Diffusion 2: the text is 1024 wide (diffusers' rule).
  var isVersion2: Bool { crossAttentionDim == 1024 }

  /// diffusers' rule: SD 2 predicts v, at 768 pixels, but for its first base model, which the number of training steps gives away;
  /// inpainting predicts epsilon. Those were trained at 512 pixels.
  private func predictsV(_ globalStep: Int?) -> Bool {
    isVersion2 && globalStep != 875_000 && shapes["unet.conv_in.weight"]?.dropFirst().first == 4
  }

  private var crossAttentionDim: Int? {
    shapes.first { $0.key.hasPrefix("unet.down_blocks.") && $0.key.hasSuffix(".attn2.to_k.weight") && $0.value.count == 2 }?.value[1]
  }

  /// - Parameter globalStep: of training, where the file tells.
  func unet(globalStep: Int?) throws -> ConfigReader {
    let blocks = count { "unet.down_blocks.\($0).resnets.0.conv1.weight" }
    guard blocks > 0 else { throw missing("a UNet", "model.diffusion_model") }
    let channels = try (0..<blocks).map { try size("unet.down_blocks.\($0).resnets.0.conv1.weight", 0) }
    func hasAttention(_ side: String, _ block: Int) -> Bool { shapes["unet.\(side)_blocks.\(block).attentions.0.norm.weight"] != nil }
    let transformers = (0..<blocks).map { block in
      max(1, count { "unet.down_blocks.\(block).attentions.0.transformer_blocks.\($0).norm1.weight" })
    }
    let linear = shapes.first { $0.key.hasPrefix("unet.") && $0.key.hasSuffix(".proj_in.weight") }?.value.count == 2
    let inputs = try size("unet.conv_in.weight", 1)
    let object: [String: Any] = [
      "in_channels": inputs, "out_channels": try size("unet.conv_out.weight", 0),
      "block_out_channels": channels,
      "layers_per_block": (0..<blocks).map { block in count { "unet.down_blocks.\(block).resnets.\($0).conv1.weight" } },
      "down_block_types": (0..<blocks).map { hasAttention("down", $0) ? "CrossAttnDownBlock2D" : "DownBlock2D" },
      "up_block_types": (0..<blocks).map { hasAttention("up", $0) ? "CrossAttnUpBlock2D" : "UpBlock2D" },
      "cross_attention_dim": crossAttentionDim ?? 768, "use_linear_projection": linear, "transformer_layers_per_block": transformers,
      // SD 1: 8 heads everywhere; SD 2: heads of 64 channels, attention in float32.
      "attention_head_dim": isVersion2 ? channels.map { max(1, $0 / 64) } : Array(repeating: 8, count: blocks),
      "upcast_attention": isVersion2, "sample_size": predictsV(globalStep) ? 96 : 64,
      "time_cond_proj_dim": shapes["unet.time_embedding.cond_proj.weight"].flatMap { $0.count == 2 ? $0[1] : nil } ?? NSNull(),
    ]
    return try config(object, "unet")
  }

  func vae() throws -> ConfigReader {
    let blocks = count { "vae.decoder.up_blocks.\($0).resnets.0.conv1.weight" }
    guard blocks > 0 else { throw missing("a VAE", "first_stage_model") }
    let channels = try (0..<blocks).map { try size("vae.decoder.up_blocks.\(blocks - 1 - $0).resnets.0.conv1.weight", 0) }
    return try config(
      [
        "in_channels": try size("vae.encoder.conv_in.weight", 1), "out_channels": try size("vae.decoder.conv_out.weight", 0),
        "latent_channels": try size("vae.decoder.conv_in.weight", 1), "block_out_channels": channels,
        "layers_per_block": max(1, count { "vae.encoder.down_blocks.0.resnets.\($0).conv1.weight" }),
        "down_block_types": Array(repeating: "DownEncoderBlock2D", count: blocks),
        "up_block_types": Array(repeating: "UpDecoderBlock2D", count: blocks),
        "use_quant_conv": shapes["vae.quant_conv.weight"] != nil, "use_post_quant_conv": shapes["vae.post_quant_conv.weight"] != nil,
        "mid_block_add_attention": shapes["vae.decoder.mid_block.attentions.0.to_q.weight"] != nil,
        "scaling_factor": 0.18215, "sample_size": isVersion2 ? 768 : 512,
      ], "vae")
  }

  func textEncoder() throws -> ConfigReader {
    let root = "text_encoder.text_model"
    let layers = count { "\(root).encoder.layers.\($0).layer_norm1.weight" }
    guard layers > 0 else { throw missing("a text encoder", "cond_stage_model") }
    let hidden = try size("\(root).embeddings.token_embedding.weight", 1)
    return try config(
      [
        "vocab_size": try size("\(root).embeddings.token_embedding.weight", 0), "hidden_size": hidden,
        "intermediate_size": try size("\(root).encoder.layers.0.mlp.fc1.weight", 0), "num_hidden_layers": layers,
        "max_position_embeddings": try size("\(root).embeddings.position_embedding.weight", 0),
        // CLIP's heads have 64 channels.
        "num_attention_heads": max(1, hidden / 64), "hidden_act": isVersion2 ? "gelu" : "quick_gelu",
      ], "text_encoder")
  }

  func scheduler(globalStep: Int?) throws -> ConfigReader {
    return try config(
      [
        "_class_name": isVersion2 ? "DDIMScheduler" : "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1,
        "clip_sample": false, "prediction_type": predictsV(globalStep) ? "v_prediction" : "epsilon",
      ], "scheduler")
  }

  /// How many of the names exist, counted from 0.
  private func count(_ name: (Int) -> String) -> Int { (0..<1000).first { shapes[name($0)] == nil } ?? 1000 }

  private func size(_ name: String, _ dimension: Int) throws -> Int {
    guard let shape = shapes[name] else { throw InputError(.badData, "\(label): \(name) is missing") }
    guard dimension < shape.count else { throw InputError(.badData, "\(label): \(name): unexpected shape \(shape)") }
    return shape[dimension]
  }

  private func missing(_ what: String, _ prefix: String) -> InputError {
    InputError(
      .badData, "\(label): expected \(what) (names that start with \(prefix)), found none",
      hint: "expected a Stable Diffusion 1 or 2 checkpoint")
  }

  /// Through JSON, so that the values have the types that a config file would give.
  private func config(_ object: [String: Any], _ network: String) throws -> ConfigReader {
    try ConfigReader(JSONSerialization.data(withJSONObject: object), file: "\(label) (\(network), from the shapes)")
  }
}
