/// Everything that determines a picture besides the model. A run is a function of its request.
public struct GenerationRequest: Sendable {
  public var prompt: String
  public var negativePrompt: String
  public var sampler: SamplerName
  public var steps: Int
  /// Scale of classifier-free guidance (Ho & Salimans 2022); at 1 or below the network runs once a step, without the negative prompt.
  public var guidance: Double
  /// Seed of the first image; image i has seed + i and a generator of its own, so that its noise does not depend on the batch.
  public var seed: UInt64
  /// Pixels; multiples of the VAE's factor. nil: the size of the first image given, else what the model was trained at.
  public var width: Int?
  public var height: Int?
  /// Number of images.
  public var count: Int
  /// Layers dropped from the end of the text encoder, as diffusers counts (A1111: one more); for the prompt only, as there.
  public var clipSkip: Int
  /// Overrides of the model's scheduler settings, and ddim's eta.
  public var samplerOptions: SamplerOptions
  public var randomNumbers: RandomNumbers
  /// What happens to words beyond the text encoder's window.
  public var longPrompt: PromptOverflow
  /// How brackets in a prompt are read.
  public var emphasis: PromptEmphasis
  /// Start from this picture: `[1, h, w, 3]` in [-1, 1].
  public var initialImage: Tensor?
  /// How much of the picture is redone, 0 to 1: int(steps * strength) steps are run.
  public var strength: Double
  /// 1 where the picture is to be painted anew, 0 where it stays: `[1, h, w, 1]`, the initial image's size.
  public var mask: Tensor?
  /// Noise to start from instead of drawn noise: `[count, h, w, latent channels]`, standard normal scale.
  public var initialLatents: Tensor?

  /// Start from an inverted picture: the sampler is then the inversion's, and `initialImage`, `mask` and `initialLatents` are not looked at.
  public var inverted: Inversion.Start?

  /// Which generator the noise comes from.
  public enum RandomNumbers: String, Sendable, CaseIterable, Codable {
    /// torch's generator on a CPU.
    case cpu
    /// torch's generator on an NVIDIA GPU.
    case cuda
  }

  public init(
    prompt: String, negativePrompt: String = "", sampler: SamplerName = .ddpm, steps: Int = 50, guidance: Double = 8, seed: UInt64 = 42,
    width: Int? = nil, height: Int? = nil, count: Int = 1, clipSkip: Int = 0
  ) {
    self.prompt = prompt
    self.negativePrompt = negativePrompt
    self.sampler = sampler
    self.steps = steps
    self.guidance = guidance
    self.seed = seed
    self.width = width
    self.height = height
    self.count = count
    self.clipSkip = clipSkip
    samplerOptions = SamplerOptions()
    randomNumbers = .cpu
    longPrompt = .truncate
    emphasis = .none
    strength = 0.9
  }

  /// Without a prompt's guidance there is nothing to contrast with.
  public var usesGuidance: Bool { guidance > 1 }
}
