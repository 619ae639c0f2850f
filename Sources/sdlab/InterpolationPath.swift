import Analysis
import ArgumentParser
import Engine
import Foundation

/// What lies between prompts, draws of noise and pictures. Every frame is a run of the store, so nothing is made twice and what was interrupted goes on.
///
/// A frame that blends nothing (a prompt of the way with the first seed's noise) is the plain run of its prompt, under the same name in the store.
/// All frames have the same seed: what a sampler draws in its steps is the same everywhere.
struct InterpolationPath {
  /// How each thing is blended.
  struct Ways {
    var noise = Blending.slerp
    var embedding = Blending.lerp
    var latents = Blending.slerp
  }

  /// An existing picture at an end of the way.
  struct Ending {
    let source: GenerationParameters.Source
    /// The mean of the VAE's distribution, scaled, `[1, h, w, c]`.
    let latents: Tensor

    init(_ input: RunInputs.Input<Picture>, _ run: PictureRun) throws {
      source = input.source
      let (width, height) = (run.parameters.width, run.parameters.height)
      let fitted = RunInputs.fit(input.content, width, height)
      latents = try run.model.encode(fitted.tensor, tiling: run.tiling)
    }
  }

  /// What the frames begin with.
  private enum Start {
    case noise
    case pictures(Ending, Ending)
    /// Latents that are at the noise level of the frames' first step already.
    case inverted(InvertedEndings)
  }

  let course: Course
  /// A run for each prompt of the way.
  private let runs: [PictureRun]
  private let conditionings: [Conditioning]
  /// Number of chunks where it is more than a prompt would have by itself.
  private let padding: [Int?]
  private let ways: Ways
  private let start: Start
  private let toSeed: UInt64?
  /// Of the first and the last seed.
  private let noises: (Tensor, Tensor)

  var warnings: [String] { conditionings.flatMap(\.warnings) }

  /// - Parameters:
  ///   - run: with the first prompt, and the first picture as its initial picture where there are pictures.
  ///   - prompts: all of them, the first included.
  ///   - pictures: the first and the last; the first is that of `run`.
  ///   - inversions: of these pictures; nil: noise is added to them.
  init(
    _ run: PictureRun, prompts: [String], toSeed: UInt64?, pictures: (RunInputs.Input<Picture>, RunInputs.Input<Picture>)?,
    inversions: InvertedEndings? = nil, ways: Ways
  ) throws {
    let (model, request) = (run.model, run.request)
    self.ways = ways
    self.toSeed = toSeed == request.seed ? nil : toSeed
    course = Course(stations: prompts.count)
    runs = prompts.map { run.with(prompt: $0) }
    conditionings = try model.conditionings(prompts, request)
    padding = try zip(prompts, conditionings).map { prompt, padded in
      var alone = request
      alone.prompt = prompt
      let own = try model.conditioning(alone).prompt.shape[1]
      return own == padded.prompt.shape[1] ? nil : padded.prompt.shape[1] / model.promptLength
    }
    let factor = model.vae.config.factor
    let shape: Shape = [1, run.parameters.height / factor, run.parameters.width / factor, model.vae.config.latentChannels]
    // Image to image draws the VAE's sample first: the noise is the second draw.
    let draws = pictures == nil ? 1 : 2
    let first = Self.noise(request.seed, request.randomNumbers, shape, draws: draws)
    noises = (first, toSeed.map { Self.noise($0, request.randomNumbers, shape, draws: draws) } ?? first)
    if let inversions {
      start = .inverted(inversions)
    } else {
      start = try pictures.map { .pictures(try Ending($0, run), try Ending($1, run)) } ?? .noise
    }
  }

  private static func noise(_ seed: UInt64, _ generator: GenerationRequest.RandomNumbers, _ shape: Shape, draws: Int) -> Tensor {
    var random: any RandomSource = generator == .cpu ? TorchRandom(seed: seed) : PhiloxRandom(seed: seed)
    for _ in 1..<draws { _ = random.normal(nhwc: shape) }
    return random.normal(nhwc: shape)
  }

  /// The frame at `t`, 0 to 1.
  /// - Returns: its run, and whether it was there already.
  func frame(_ t: Double, _ store: RunStore, again: Bool) throws -> (run: RunFolder, found: Bool) {
    let (station, gone) = course.place(t)
    let run = runs[station]
    let change = try intervention(t, station, gone)
    if !again, let there = try run.kept(store, intervention: change.name) { return (there, true) }
    return (try run.trace(store, [], intervention: change, again: again), false)
  }

  /// What makes a frame differ from the plain run of its prompt. Its name says all of it: the store goes by it.
  private func intervention(_ t: Double, _ station: Int, _ gone: Double) throws -> Tracer.Intervention {
    var name: [String: String] = [:]
    var conditioning: Conditioning?
    let chunks = padding[station].map { " in \($0) chunks" } ?? ""
    if gone > 0 {
      conditioning = try ways.embedding.conditioning(conditionings[station], conditionings[station + 1], gone)
      name["embedding"] = "\(ways.embedding.rawValue) to '\(runs[station + 1].parameters.prompt)' t \(gone)\(chunks)"
    } else if padding[station] != nil {
      conditioning = conditionings[station]
      name["embedding"] = "of the prompt\(chunks)"
    }
    var noise = noises.0
    if let toSeed, t > 0 {
      noise = t == 1 ? noises.1 : try ways.noise.noise(noises.0, noises.1, t)
      name["noise"] = "\(ways.noise.rawValue) to seed \(toSeed) t \(t), steps' noise of seed \(runs[station].parameters.seed)"
    }
    switch start {
    case .pictures(let from, let to):
      let latents = t == 0 ? from.latents : t == 1 ? to.latents : try ways.latents.latents(from.latents, to.latents, t)
      name["picture"] = "\(ways.latents.rawValue) of means to \(to.source.sha256 ?? to.source.name) t \(t)"
      return .init(name, conditioning: conditioning) { $0.plan.addNoise(latents, noise, at: $0.indices.lowerBound) }
    case .inverted(let ends):
      name["picture"] = "\(ways.latents.rawValue) of \(ends.name) t \(t)"
      return .init(name, conditioning: conditioning) { run in
        let (a, b) = ends.latents(before: run.indices.lowerBound)
        return t == 0 ? a : t == 1 ? b : try ways.latents.latents(a, b, t)
      }
    case .noise where name["noise"] != nil:
      return .init(name, conditioning: conditioning) { $0.plan.initialLatents(noise) }
    case .noise:
      return .init(name, conditioning: conditioning)
    }
  }
}

extension PictureRun {
  /// The same run of another prompt.
  func with(prompt: String) -> PictureRun {
    var out = self
    out.replacePrompt(prompt)
    return out
  }
}

extension Blending: ExpressibleByArgument {}
