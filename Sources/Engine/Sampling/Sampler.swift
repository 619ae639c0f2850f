/// A rule that takes latents from noise to a picture's latents, one model evaluation at a time.
///
/// Each is equal to diffusers' scheduler of the same kind, step by step. A sampler has no state of its own and draws nothing: history
/// lives in the state, noise is asked for exactly as often and in the order in which diffusers draws it, so a run is a function of its
/// inputs:
///
///     var state = SamplerState()
///     var x = sampler.plan.initialLatents(noise())
///     for i in sampler.plan.indices { x = try sampler.step(i, x, state: &state, denoise: model, noise: noise).sample }
public protocol Sampler: Sendable {
  var plan: SamplingPlan { get }
  var schedule: NoiseSchedule { get }

  /// Goes from the latents before step `i` to those after it.
  ///
  /// `i` rises by one from the first index of the run; `state` is fresh at its start. `x` has any shape, images along the first dimension.
  /// `denoise` gets the scaled latents and the timestep and gives the model's output in the shape of `x`; it is called once. `noise` gives
  /// standard normal noise in the shape of `x`. Throws only what these throw.
  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (_ input: Tensor, _ timestep: Double) throws -> Tensor,
    noise: () throws -> Tensor
  ) rethrows -> SamplerStep
}

/// A sampler whose step takes x0 and the direction back to the noise from two answers of the network: Asyrp (Kwon et al., ICLR 2023, equation 6).
protocol AsymmetricSampler: Sampler {
  /// As `step`, but x0 is computed from what `original` answers, everything else from what `denoise` answers.
  func step(
    _ i: Int, _ x: Tensor, denoise: (_ input: Tensor, _ timestep: Double) throws -> Tensor,
    original: (_ input: Tensor, _ timestep: Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep
}

/// What one step gives.
public struct SamplerStep: Sendable {
  /// The latents after the step.
  public let sample: Tensor
  /// x0 as the model sees it at this step, for previews. Clipped or thresholded if the scheduler is configured so.
  public let predictedOriginal: Tensor
}

/// What a sampler remembers between steps of one run. Fresh for every run; a copy continues the run from where it was copied.
public struct SamplerState: Sendable {
  /// Model outputs, converted as the sampler needs them, newest last.
  var history: [Tensor] = []
  /// The latents at which a step of several evaluations began.
  var anchor: Tensor?
  /// Weighted sum of the evaluations of a Runge-Kutta step.
  var sum: Tensor?
  /// Steps done.
  var count = 0
  /// Order of the last predictor step.
  var order = 0

  public init() {}

  mutating func remember(_ output: Tensor, limit: Int) {
    history.append(output)
    if history.count > limit { history.removeFirst(history.count - limit) }
  }
}

/// What a person may choose against the model's `scheduler_config.json`; nil leaves it to the config.
public struct SamplerOptions: Sendable, Equatable {
  public var spacing: TimestepSpacing?
  public var karras: Bool?
  public var prediction: PredictionType?
  /// DDIM's share of fresh noise, 0 (deterministic) to 1 (as much as DDPM). Other samplers ignore it, as diffusers' pipelines do.
  public var eta: Double

  public init(spacing: TimestepSpacing? = nil, karras: Bool? = nil, prediction: PredictionType? = nil, eta: Double = 0) {
    self.spacing = spacing
    self.karras = karras
    self.prediction = prediction
    self.eta = eta
  }
}

/// The samplers by their names on the command line.
public enum SamplerName: String, CaseIterable, Sendable {
  case ddpm
  case ddim
  case pndm
  case lms
  case euler
  case eulerA = "euler-a"
  case heun
  case dpmpp2M = "dpmpp-2m"
  case dpmpp2MKarras = "dpmpp-2m-karras"
  case dpmpp2MSDE = "dpmpp-2m-sde"
  case dpmpp2S = "dpmpp-2s"
  case unipc
  case lcm

  /// The sampler for `steps` steps with the settings of a `scheduler_config.json`.
  ///
  /// Keys that the config does not write take the defaults of diffusers' class, whatever class wrote the config; keys that this class
  /// does not have are ignored. Throws `InputError` for settings that this program does not know, for options that the sampler does not
  /// have and for a number of steps it cannot do.
  public func sampler(_ config: ConfigReader, steps: Int, options: SamplerOptions = SamplerOptions()) throws -> any Sampler {
    let most = try config.int("num_train_timesteps", 1000, in: 1...100_000)
    guard (1...most).contains(steps) else {
      throw InputError(.usage, "\(steps) steps: expected 1 to \(most)")
    }
    if options.karras == true, [.ddpm, .ddim, .pndm, .eulerA, .lcm].contains(self) {
      throw InputError(
        .usage, "\(rawValue) has no Karras noise levels", hint: "use lms, euler, heun, dpmpp-2m, dpmpp-2m-sde, dpmpp-2s or unipc")
    }
    switch self {
    case .ddpm: return try DDPM(config, steps: steps, options: options)
    case .ddim: return try DDIM(config, steps: steps, options: options)
    case .pndm: return try PNDM(config, steps: steps, options: options)
    case .lms: return try LMS(config, steps: steps, options: options)
    case .euler: return try Euler(config, steps: steps, options: options)
    case .eulerA: return try EulerAncestral(config, steps: steps, options: options)
    case .heun: return try Heun(config, steps: steps, options: options)
    case .dpmpp2M: return try DPMSolverMultistep(config, steps: steps, options: options)
    case .dpmpp2MKarras:
      var karras = options
      karras.karras = true
      guard options.karras != false else {
        throw InputError(.usage, "dpmpp-2m-karras without Karras noise levels is dpmpp-2m", hint: "use dpmpp-2m")
      }
      return try DPMSolverMultistep(config, steps: steps, options: karras)
    case .dpmpp2MSDE: return try DPMSolverMultistep(config, steps: steps, options: options, algorithm: .sdePlusPlus)
    case .dpmpp2S: return try DPMSolverSinglestep(config, steps: steps, options: options)
    case .unipc: return try UniPC(config, steps: steps, options: options)
    case .lcm: return try LCM(config, steps: steps, options: options)
    }
  }
}
