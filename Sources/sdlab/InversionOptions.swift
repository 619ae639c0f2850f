import Analysis
import ArgumentParser
import Engine
import Foundation

/// Going on from an inverted picture, for verbs that sample.
struct InversionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Start from an inverted picture: a run or a file of `sdlab invert`. Its steps, scheduler settings and size hold, and its guidance unless another "
        + "is given; the prompt is new.", valueName: "run|file"))
  var inversion: String?

  @Option(help: ArgumentHelp("Steps of --inversion left out at the beginning: more keep more of the picture. Default: 0.", valueName: "n"))
  var skip: Int?

  /// The picture options' files, or the inversion in place of them.
  /// - Throws: `InputError` when there is none of this name, or options do not go with it.
  func inputs(_ picture: PictureOptions, _ store: RunStore) throws -> RunInputs {
    guard let inversion else {
      if skip != nil { throw InputError(.usage, "--skip: only with --inversion") }
      return try picture.inputs()
    }
    for (name, isGiven) in [
      ("init-image", picture.initImage != nil), ("mask", picture.mask != nil), ("init-latents", picture.initLatents != nil),
      ("strength", picture.strength != nil), ("count", picture.count.map { $0 != 1 } ?? false),
    ] where isGiven {
      throw InputError(
        .usage, "--\(name) and --inversion: an inversion is where one picture begins",
        hint: name == "strength" ? "--skip says how much of it is kept" : "leave one of them out")
    }
    var inputs = try RunInputs(initImage: nil, mask: nil, initLatents: nil)
    inputs.inversion = try RunInputs.Inverted(inversion, skip: skip, store: store)
    return inputs
  }
}

extension RunInputs {
  /// An inversion with the name that it was found under.
  struct Inverted {
    let file: InversionFile
    let source: GenerationParameters.Source
    /// Steps left out at the beginning.
    let skip: Int?

    /// - Parameter name: a run that `invert` made, by its path or its name in the store, or a file that it wrote.
    init(_ name: String, skip: Int?, store: RunStore) throws {
      var isFolder: ObjCBool = false
      let isFile = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder) && !isFolder.boolValue
      let url: URL
      self.skip = skip
      if isFile || name.lowercased().hasSuffix(".safetensors") {
        url = URL(fileURLWithPath: name)
        file = try InversionFile(url)
      } else {
        let run = try store.open(name)
        file = try run.inversion()
        url = run.url.appendingPathComponent(InversionFile.name)
      }
      source = .init(name: name, sha256: try ModelDigest.of(file: url))
      guard (0..<file.inversion.steps).contains(skip ?? 0) else {
        throw InputError(.usage, "--skip \(skip ?? 0): expected 0 to \(file.inversion.steps - 1), fewer than the inversion's steps")
      }
    }

    /// Takes over what belongs to the inversion.
    /// - Throws: `InputError` when it is of another model, or options ask for something else.
    func apply(to p: inout GenerationParameters, _ sampling: SamplingOptions, _ source: ModelSource, quiet: Bool) throws {
      let own = file.parameters
      let found = try ModelDigest.of(source, quiet: quiet)
      if let expected = own.model.sha256, expected != found {
        throw InputError(
          .badData,
          "\(self.source.name): made with another model: \(own.model.name) had SHA-256 \(expected.prefix(16)), this one has \(found.prefix(16))",
          hint: "give the model it was made with: --model")
      }
      func check(_ option: String, _ given: String?, _ expected: String?) throws {
        guard let given, given != expected else { return }
        throw InputError(
          .usage, "--\(option) \(given): the inversion was made with \(expected ?? "the model's own")", hint: "leave --\(option) out")
      }
      try check("sampler", sampling.chosenSampler?.rawValue, SamplerName.ddim.rawValue)
      try check("steps", sampling.chosenSteps.map(String.init), "\(own.steps)")
      try check("spacing", sampling.spacing?.rawValue, own.spacing)
      try check("prediction", sampling.prediction?.rawValue, own.prediction)
      try check("karras", sampling.karras.map(String.init), own.karras.map(String.init))
      try check("eta", sampling.eta == 0 ? nil : "\(sampling.eta)", nil)
      (p.sampler, p.steps, p.eta) = (SamplerName.ddim.rawValue, own.steps, own.eta)
      (p.spacing, p.prediction, p.karras) = (own.spacing, own.prediction, own.karras)
      p.guidance = sampling.chosenGuidance ?? own.guidance
      p.inversion = self.source
      p.skip = skip
    }
  }
}
