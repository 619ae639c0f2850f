import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Information: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how much each word says about each place of the picture, in nats.",
    discussion: """
      Information decomposition (Kong et al. 2024): the picture is noised to many noise levels, and the network's guess of the noise with the whole prompt is \
      compared with its guess without a word (conditional information) and without any prompt. Takes a run, or a prompt, for which a run is made; \
      with --image an existing picture, which the argument describes. Forward passes only; every condition is shown the same noise.

      Examples:
        sdlab information "a red house next to a green tree"
        sdlab information runs/a-red-house-42-1a2b3c4d --word house --samples 400 --arrays maps
        sdlab information "a red house" --swap house=boat --image photo.png
      """)

  @Argument(help: ArgumentHelp("A run, or a prompt.", valueName: "run|prompt"))
  var subject: String

  @Option(
    name: [.customLong("word"), .customLong("words")],
    help: ArgumentHelp("Words or phrases to take out, separated by commas. Default: every word of the prompt.", valueName: "a,b"))
  var words: String?

  @Option(
    help: ArgumentHelp("Put another word in place of one instead of taking it out; several separated by commas.", valueName: "a=b,c=d"))
  var swap: String?

  @Option(help: ArgumentHelp("Look at this picture instead of making one; the argument is its prompt.", valueName: "file"))
  var image: String?

  @Option(
    help: ArgumentHelp(
      "orthogonal, the published code's: squared difference of the guesses; or standard: difference of the squared errors, which may be negative.",
      valueName: "name"))
  var estimator = InformationMaps.Estimator.orthogonal

  @Option(help: ArgumentHelp("Number of noise levels and noises, 2 to 100000.", valueName: "n"))
  var samples = 100

  @Option(help: ArgumentHelp("Seed of noise levels and noises.", valueName: "k"))
  var noiseSeed: UInt64 = 0

  @Option(help: ArgumentHelp("Which image of a run with several, from 0.", valueName: "i"))
  var index = 0

  @Option(
    help: ArgumentHelp(
      "Also write each map to DIR/<word>.npy and the whole prompt's to DIR/prompt.npy, float32 [h, w], nats.", valueName: "dir"))
  var arrays: String?

  @Flag(help: "Compute and write nothing; print the number of passes.")
  var dryRun = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    guard (2...100_000).contains(samples) else { throw InputError(.usage, "--samples \(samples): expected 2 to 100000") }
    let target = dryRun ? nil : try figure.target(default: "information-\(OutputFile.slug(subject))")
    let subject = try InformationSubject(self)
    let contrasts = try contrasts(subject.prompt)
    let files = try arrayFiles(contrasts)
    if dryRun { return try planned(contrasts.count) }
    guard let target else { return }
    let measured = try subject.measured(contrasts.map(\.text))
    let maps = measured.maps
    let named = zip(contrasts, maps.estimates(estimator).dropFirst()).map { (word: $0.0.name, estimate: $0.1) }
    guard let whole = maps.estimates(estimator).first else { return }
    for (url, map) in zip(files, [whole.map] + named.map(\.estimate.map)) {
      try Npy.write(map, shape: [maps.size.height, maps.size.width], to: url)
    }
    try figure.write(draw(subject.prompt.text, measured, named, whole), to: target.url, target.format)
    if report.json {
      try StandardOutput.json(Report(self, measured, contrasts, files, target.url))
    } else {
      func row(_ name: String, _ e: InformationMaps.Estimate) -> [String] {
        [name, decimal(e.total, 2), "± \(decimal(e.standardError, 2))", decimal(e.bits, 2)]
      }
      let head = ["", "nats", "standard error", "bits"]
      try StandardOutput.line(table([head, row("the whole prompt", whole)] + named.map { row($0.word, $0.estimate) }))
      for url in files + [target.url] { try StandardOutput.line(url.relativePath) }
    }
  }

  /// A word and the prompt without it.
  private struct Contrast {
    let name: String
    let text: String
  }

  private func contrasts(_ prompt: TokenizedPrompt) throws -> [Contrast] {
    let swaps = try (swap.map { try commaList($0, "--swap") } ?? []).map { part in
      let sides = part.split(separator: "=", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
      guard sides.count == 2, sides.allSatisfy({ !$0.isEmpty }) else {
        throw InputError(.usage, "--swap \(part): expected two words", hint: "for example --swap house=boat")
      }
      return Contrast(
        name: "\(sides[0]), not \(sides[1])", text: try PromptContrast.text(prompt, without: sides[0], replacement: sides[1]))
    }
    let names = try words.map { try commaList($0, "--word") } ?? (swap == nil ? prompt.distinctWords : [])
    let out = try names.map { Contrast(name: $0, text: try PromptContrast.text(prompt, without: $0)) } + swaps
    guard !out.isEmpty else { throw InputError(.usage, "the prompt has no words to take out") }
    return out
  }

  private func arrayFiles(_ contrasts: [Contrast]) throws -> [URL] {
    guard let arrays, !dryRun else { return [] }
    return try OutputFile.arrays(["prompt"] + contrasts.map(\.name), in: arrays, force: figure.force)
  }

  private func planned(_ words: Int) throws {
    struct Plan: Encodable {
      let samples: Int
      let conditions: Int
      let rows: Int
    }
    // The prompt, no prompt, and the prompt without each word.
    let plan = Plan(samples: samples, conditions: words + 2, rows: samples * (words + 2))
    if report.json { return try StandardOutput.json(plan) }
    try StandardOutput.line(
      "\(plan.rows) rows through the UNet: \(samples) samples of \(plan.conditions) conditions, beside the picture itself where it is not there yet"
    )
  }

  private func draw(
    _ prompt: String, _ measured: InformationSubject.Measured, _ named: [(word: String, estimate: InformationMaps.Estimate)],
    _ whole: InformationMaps.Estimate
  ) throws -> Figure {
    let maps = measured.maps
    let picture = try RGBImage(measured.picture)
    let all = named.flatMap(\.estimate.map).map(Double.init)
    let highest = max(all.max() ?? 0, -(all.min() ?? 0), 1e-12)
    let scale = ColourScale(
      estimator == .orthogonal ? .inferno : .redBlue, "information about a place", unit: "nats",
      domain: (estimator == .orthogonal ? 0 : -highest)...highest)
    var panels = [Panel.picture("the picture", marks: [.image(picture)])]
    for (word, estimate) in named {
      panels.append(
        .picture(
          "\(word)  \(decimal(estimate.total, 1)) ± \(decimal(estimate.standardError, 1))",
          marks: [
            .overlay(
              picture, estimate.map.map(Double.init), rows: maps.size.height, columns: maps.size.width, colours: scale,
              opacity: estimator == .orthogonal ? 0.65 : 0.75)
          ]))
    }
    let columns = min(panels.count, max(2, min(5, Int(Double(panels.count).squareRoot().rounded(.up)) + 1)))
    let range = LogSNRSampling().range
    return Figure(
      title: "\"\(prompt)\"",
      subtitle:
        "what each word says beyond the rest of the prompt, in nats ± standard error; the whole prompt: \(decimal(whole.total, 1)) ± \(decimal(whole.standardError, 1)); \(measured.about)",
      note:
        "\(estimator.rawValue) estimator, \(maps.samples) samples, logSNR \(Int(range.lowerBound)) to \(Int(range.upperBound)), one scale for all words. It is the model's information: a network that guesses badly says little about the world. Words that repeat each other share theirs, so they do not add up to the prompt's.",
      columns: columns, width: Double(columns) * 190, commonColours: true, panels: panels)
  }

  private struct Report: Encodable {
    struct Total: Encodable {
      let nats: Double
      let standardError: Double
      let bits: Double
      init(_ e: InformationMaps.Estimate) { (nats, standardError, bits) = (e.total, e.standardError, e.bits) }
    }
    struct Word: Encodable {
      let word: String
      /// The prompt that it is compared with.
      let without: String
      let orthogonal: Total
      let standard: Total
      let array: String?
    }
    let figure: String
    let run: String?
    let estimator: String
    let samples: Int
    let noiseSeed: UInt64
    let logSnr: [Double]
    let height: Int
    let width: Int
    let orthogonal: Total
    let standard: Total
    let array: String?
    let words: [Word]

    init(_ verb: Information, _ measured: InformationSubject.Measured, _ contrasts: [Contrast], _ files: [URL], _ figure: URL) {
      self.figure = figure.relativePath
      run = measured.run?.relativePath
      estimator = verb.estimator.rawValue
      samples = measured.maps.samples
      noiseSeed = verb.noiseSeed
      let range = LogSNRSampling().range
      logSnr = [range.lowerBound, range.upperBound]
      let maps = measured.maps
      (height, width) = (maps.size.height, maps.size.width)
      orthogonal = Total(maps.orthogonal[0])
      standard = Total(maps.standard[0])
      array = files.first?.relativePath
      words = contrasts.enumerated().map { i, contrast in
        Word(
          word: contrast.name, without: contrast.text, orthogonal: Total(maps.orthogonal[i + 1]), standard: Total(maps.standard[i + 1]),
          array: files.indices.contains(i + 1) ? files[i + 1].relativePath : nil)
      }
    }
  }
}

extension InformationMaps.Estimator: ExpressibleByArgument {}
