import Foundation

extension LoRA {
  /// Layouts that are written.
  public enum Layout: String, Sendable, CaseIterable {
    /// diffusers' `save_lora_weights`: PEFT's names, rank, alpha and modules in the metadata, where diffusers reads them since 0.34.
    case diffusers
    /// kohya's scripts and A1111: dots of a module's name as underscores, alpha beside each module.
    case kohya
  }

  /// Writes trained additions, in float32.
  /// - Parameter parameters: hold the matrices of `modules`; others are left out.
  /// - Throws: `InputError` (cannotWrite).
  public static func write(_ parameters: Parameters, _ modules: LowRankModules, _ layout: Layout, to url: URL) throws {
    var tensors: [(name: String, value: Safetensors.Value)] = []
    for module in modules.names {
      guard let down = parameters[LowRankModules.down(module)], let up = parameters[LowRankModules.up(module)] else {
        preconditionFailure("\(module): a matrix of its addition is not among the parameters")
      }
      switch layout {
      case .diffusers: tensors += [(LowRankModules.down(module), .tensor(down)), (LowRankModules.up(module), .tensor(up))]
      case .kohya:
        let name = kohyaName(module)
        let alpha = withUnsafeBytes(of: Float(modules.alpha).bitPattern.littleEndian) { Data($0) }
        tensors += [
          ("\(name).alpha", .raw(.float32, shape: [], alpha)), ("\(name).lora_down.weight", .tensor(down)),
          ("\(name).lora_up.weight", .tensor(up)),
        ]
      }
    }
    try Safetensors.write(tensors, metadata: try metadata(modules, layout), to: url)
  }

  /// `lora_unet_mid_block_…_to_q` of `unet.mid_block.….to_q`.
  private static func kohyaName(_ module: String) -> String {
    let (network, inner) = (module.prefix { $0 != "." }, module.drop { $0 != "." }.dropFirst())
    return (network == "unet" ? "lora_unet_" : "lora_te_") + inner.replacing(".", with: "_")
  }

  private static func metadata(_ modules: LowRankModules, _ layout: Layout) throws -> [String: String] {
    switch layout {
    case .diffusers:
      var settings: [String: Any] = [:]
      for (network, ends) in modules.ends {
        settings["\(network).r"] = modules.rank
        settings["\(network).lora_alpha"] = modules.alpha
        settings["\(network).target_modules"] = ends
      }
      let json = try JSONSerialization.data(withJSONObject: settings, options: [.sortedKeys])
      return ["format": "pt", "lora_adapter_metadata": String(decoding: json, as: UTF8.self)]
    case .kohya:
      return [
        "format": "pt", "ss_network_module": "networks.lora", "ss_network_dim": "\(modules.rank)", "ss_network_alpha": "\(modules.alpha)",
      ]
    }
  }
}
