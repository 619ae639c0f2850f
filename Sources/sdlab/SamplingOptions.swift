import ArgumentParser
import Engine

/// How noise becomes a picture. Defaults are diffusers' and CompVis' own.
struct SamplingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("What the picture shall not show; it counts when the guidance is above 1.", valueName: "text"))
  var negative = ""

  @Option(
    name: .customLong("sampler"),
    help: ArgumentHelp("The sampler, each equal to diffusers' scheduler of the same kind. Default: ddpm.", valueName: "name"))
  var chosenSampler: SamplerName?

  @Option(
    name: .customLong("steps"),
    help: ArgumentHelp(
      "Number of steps from noise to picture, 1 to 1000. More steps take longer; most samplers gain little beyond 50. Default: 50.",
      valueName: "n"))
  var chosenSteps: Int?

  /// What was asked for, or the source document's defaults; `explore` has others.
  var sampler: SamplerName { chosenSampler ?? .ddpm }
  var steps: Int { chosenSteps ?? 50 }
  var guidance: Double { chosenGuidance ?? 8 }

  @Option(
    name: .customLong("guidance"),
    help: ArgumentHelp(
      "Scale of classifier-free guidance: how strongly the prompt is followed. At 1 or below the network runs once a step instead of twice, and "
        + "the negative prompt does nothing. Default: 8.", valueName: "w"))
  var chosenGuidance: Double?

  @Option(
    help: ArgumentHelp(
      "Seed of the noise, 0 to 18446744073709551615. Image i of several has seed + i. The same seed gives the same picture.", valueName: "k"
    ))
  var seed: UInt64 = 42

  @Option(help: ArgumentHelp("Share of fresh noise in each step of ddim, 0 (none) to 1 (as much as ddpm).", valueName: "e"))
  var eta = 0.0

  @Option(
    help: ArgumentHelp(
      "Number of layers left out at the end of the text encoder, as diffusers counts; A1111's number is one more.", valueName: "n"))
  var clipSkip = 0

  @Option(
    help: ArgumentHelp(
      "Which of the training's timesteps are visited. Default: the model's.", valueName: "name"))
  var spacing: TimestepSpacing?

  @Flag(inversion: .prefixedNo, help: "Space the noise levels as Karras et al. (2022) do. Default: the model's.")
  var karras: Bool?

  @Option(
    help: ArgumentHelp(
      "What the network's output means: epsilon is the noise, sample the picture. Default: the model's.", valueName: "name")
  )
  var prediction: PredictionType?

  @Option(
    help: ArgumentHelp("The generator of the noise: cpu (torch on a processor) or cuda (torch on an NVIDIA card).", valueName: "name"))
  var rng = GenerationRequest.RandomNumbers.cpu

  @Option(
    help: ArgumentHelp(
      "What becomes of a prompt that is longer than the text encoder's window: cut drops the rest with a warning, chunk encodes it in several "
        + "windows.", valueName: "name"))
  var longPrompt = LongPrompt.cut

  @Option(
    help: ArgumentHelp("How brackets in prompts are read: none (as text) or a1111, where (word:1.2) weighs a word.", valueName: "name"))
  var emphasis = PromptEmphasis.none

  /// Writes these settings into the record that travels with the picture.
  func apply(to parameters: inout GenerationParameters) {
    parameters.negativePrompt = negative
    parameters.sampler = sampler.rawValue
    parameters.steps = steps
    parameters.guidance = guidance
    parameters.seed = seed
    parameters.eta = eta
    parameters.clipSkip = clipSkip
    parameters.spacing = spacing?.rawValue
    parameters.karras = karras
    parameters.prediction = prediction?.rawValue
    parameters.rng = rng.rawValue
    parameters.longPrompt = longPrompt.rawValue
    parameters.emphasis = emphasis.rawValue
  }
}

/// What happens to words beyond the text encoder's window, by its name on the command line.
enum LongPrompt: String, CaseIterable, ExpressibleByArgument {
  case cut
  case chunk

  var overflow: PromptOverflow { self == .cut ? .truncate : .chunk }
}

extension SamplerName: ExpressibleByArgument {}
extension TimestepSpacing: ExpressibleByArgument {}
extension PredictionType: ExpressibleByArgument {}
extension GenerationRequest.RandomNumbers: ExpressibleByArgument {}
extension PromptEmphasis: ExpressibleByArgument {}
extension Tiling: ExpressibleByArgument {}
