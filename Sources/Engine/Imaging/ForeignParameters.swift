import Foundation

/// How another program says that it made a picture; what it does not say is nil.
public struct ForeignParameters: Sendable, Equatable {
  public enum Program: String, Sendable {
    case a1111 = "A1111"
    case stableDiffusionCpp = "stable-diffusion.cpp"
    case comfyUI = "ComfyUI"
    case sdlab = "sdlab"
  }

  /// Which one, by the shape of its text. Forks of A1111 and many other programs write A1111's.
  public var program: Program
  public var prompt: String?
  public var negativePrompt: String?
  /// Our name for the sampler; nil when it was not given or we have none like it: then `notes` say so.
  public var sampler: String?
  public var karras: Bool?
  public var steps: Int?
  public var guidance: Double?
  /// This picture's own seed.
  public var seed: UInt64?
  public var width: Int?
  public var height: Int?
  public var modelName: String?
  /// As given: A1111's is the beginning of a SHA-256.
  public var modelHash: String?
  /// Share of the steps that an initial picture went through.
  public var strength: Double?
  /// As we and diffusers count: layers left out, one less than A1111's number.
  public var clipSkip: Int?
  public var eta: Double?
  /// `cpu` or `cuda`.
  public var rng: String?
  /// `a1111` or `none`: how brackets were read.
  public var emphasis: String?
  /// What we cannot follow, one line each: unknown samplers, schedules and generators.
  public var notes: [String] = []

  private init(_ program: Program) { self.program = program }

  mutating func setSampler(_ name: String, schedule: String?) {
    let found = SamplerNames.ours(name, schedule: schedule)
    sampler = found.sampler
    karras = found.karras
    if found.sampler == nil { notes.append("sampler \"\(name.prefix(80))\": there is none like it here") }
    if let schedule, !SamplerNames.isKnown(schedule: schedule) {
      notes.append("schedule \"\(schedule.prefix(80))\": there is none like it here")
    }
  }

  // MARK: A1111 and stable-diffusion.cpp

  /// From A1111's `parameters` text or stable-diffusion.cpp's; nil when it holds no settings.
  public init?(a1111 text: String) {
    guard text.utf8.count <= ImageMetadata.maximumText else { return nil }
    let parsed = A1111Text(text)
    guard !parsed.settings.isEmpty else { return nil }
    let version = parsed["Version"] ?? ""
    self.init(version.hasPrefix("stable-diffusion.cpp") ? .stableDiffusionCpp : version.hasPrefix("sdlab") ? .sdlab : .a1111)
    prompt = parsed.prompt
    negativePrompt = parsed.negativePrompt
    if let name = parsed["Sampler"] { setSampler(name, schedule: parsed["Schedule type"]) }
    steps = parsed["Steps"].flatMap(Int.init)
    guidance = parsed["CFG scale"].flatMap(Self.finite)
    seed = parsed["Seed"].flatMap(UInt64.init)
    let size = (parsed["Size"] ?? "").split(separator: "x").compactMap { Int($0) }
    if size.count == 2 { (width, height) = (size[0], size[1]) }
    modelName = parsed["Model"]
    modelHash = parsed["Model hash"]
    strength = parsed["Denoising strength"].flatMap(Self.finite)
    if let skip = parsed["Clip skip"].flatMap(Int.init), (1...100).contains(skip) { clipSkip = skip - 1 }
    eta = (parsed["Eta DDIM"] ?? parsed["Eta"]).flatMap(Self.finite)
    emphasis = (parsed["Emphasis"] == "None" || program == .sdlab) ? nil : "a1111"
    if parsed["Emphasis"] == "None" { emphasis = "none" }
    switch parsed["RNG"]?.lowercased() {
    case "cpu": rng = "cpu"
    case "nv", "cuda", "gpu": rng = "cuda"
    case nil where program == .a1111:
      notes.append("no RNG is named: the noise was drawn on the graphics card, as --rng cuda draws it")
      rng = "cuda"
    case nil: break
    case .some(let other): notes.append("RNG \"\(other.prefix(80))\": there is none like it here")
    }
    for key in ["Hires upscale", "Variation seed", "Refiner", "Token merging ratio"] where parsed[key] != nil {
      notes.append("\(key): there is nothing like it here")
    }
  }

  private static func finite(_ text: String) -> Double? { Double(text).flatMap { $0.isFinite ? $0 : nil } }

  // MARK: ComfyUI

  /// From ComfyUI's `prompt` (the graph that ran) or `workflow` (the graph as drawn); nil when there is no KSampler in it.
  ///
  /// Follows the links of the first KSampler in the graph to its prompts, its latents and its model.
  public init?(comfyUI json: String) {
    guard json.utf8.count <= ImageMetadata.maximumText, let graph = ComfyUIGraph(json), let found = graph.sampler else { return nil }
    self.init(.comfyUI)
    func value(_ key: String) -> ComfyUIGraph.Value? { graph.resolved(found.inputs[key]) }
    steps = value("steps")?.int
    guidance = value("cfg")?.double
    seed = (value("seed") ?? value("noise_seed"))?.seed
    if let name = value("sampler_name")?.string { setSampler(name, schedule: value("scheduler")?.string) }
    prompt = graph.text(behind: found.inputs["positive"])
    negativePrompt = graph.text(behind: found.inputs["negative"])
    if let latent = graph.first(behind: found.inputs["latent_image"], where: { $0.inputs["width"] != nil && $0.inputs["height"] != nil }) {
      width = graph.resolved(latent.inputs["width"])?.int
      height = graph.resolved(latent.inputs["height"])?.int
    }
    if let loader = graph.first(behind: found.inputs["model"], where: { $0.inputs["ckpt_name"] != nil }) {
      modelName = graph.resolved(loader.inputs["ckpt_name"])?.string
    }
    if let skip = graph.first(behind: found.inputs["positive"], where: { $0.inputs["stop_at_clip_layer"] != nil }),
      let layer = graph.resolved(skip.inputs["stop_at_clip_layer"])?.int, (-100 ... -1).contains(layer)
    {
      clipSkip = -layer - 1
    }
    if let denoise = value("denoise")?.double, denoise < 1 { strength = denoise }
    rng = "cpu"
    if graph.samplers > 1 { notes.append("\(graph.samplers) samplers ran one after another; these are the settings of the first") }
    if graph.first(behind: found.inputs["model"], where: { $0.type.contains("Lora") }) != nil { notes.append("a LoRA was used") }
    notes.append("ComfyUI weighs words and draws noise in its own way: the picture will be like it, not the same")
  }
}
