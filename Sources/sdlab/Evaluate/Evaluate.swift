import Analysis
import ArgumentParser
import Engine
import Foundation

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how far generated pictures are from real ones, and how often they show what they were asked for.",
    discussion: """
      Pictures come as folders, which a network looks at (--extractor), or as feature files (.npy), a picture a row. Which network, and how pictures were resized for it, \
      moves these numbers more than many a model does: compare only what one extractor made. `scenes` makes pictures and asks a judge.
      """,
    subcommands: [FID.self, KID.self, IS.self, PrecisionRecallVerb.self, CLIPScoreVerb.self, FeaturesVerb.self, EvaluateScenes.self])
}

/// What the measures have in common.
struct EvaluationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Resamplings of the pictures for the 95 % interval; 0 makes none, at most 10000.", valueName: "n"))
  var bootstrap = 200

  @Option(help: ArgumentHelp("Seed of the resampling.", valueName: "k"))
  var seed: UInt64 = 42

  func check() throws {
    guard (0...10000).contains(bootstrap), bootstrap != 1 else {
      throw InputError(.usage, "--bootstrap \(bootstrap): expected 0, or 2 to 10000")
    }
  }

  /// A matrix of finite numbers from an .npy file.
  static func features(_ path: String) throws -> Points {
    let array = try Npy.read(URL(fileURLWithPath: path))
    guard array.shape.count == 2 else {
      throw InputError(.badData, "\(path): expected a matrix with a picture a row, found \(array.shape)")
    }
    return try Points(try array.float32(), count: array.shape[0], dimension: array.shape[1], name: path)
  }
}

/// Two sets of pictures.
struct FeaturePair: ParsableArguments {
  @Option(help: ArgumentHelp("Real pictures: a folder, or their features, [pictures, features].", valueName: "dir|file.npy"))
  var real: String

  @Option(help: ArgumentHelp("Generated pictures: a folder, or their features, of the same extractor.", valueName: "dir|file.npy"))
  var fake: String

  @OptionGroup var extraction: ExtractorOptions

  func read(quiet: Bool) throws -> (real: Points, fake: Points) {
    let folders = [real, fake].map(PictureFolder.isFolder)
    guard folders.contains(true) else {
      guard !extraction.isGiven else {
        throw InputError(.usage, "--extractor: both sets are features already", hint: "leave it out, or give folders of pictures")
      }
      return (try EvaluationOptions.features(real), try EvaluationOptions.features(fake))
    }
    // Files first: they are quick to find wrong.
    let sets = try zip([real, fake], folders).map { path, isFolder in isFolder ? nil : try EvaluationOptions.features(path) }
    let pictures = try zip([real, fake], folders).map { path, isFolder in isFolder ? try PictureFolder(path) : nil }
    let network = try extraction.load()
    let points = try zip(sets, pictures).map { set, folder in
      guard let folder else { return set }
      let values = try folder.looked("looking at \(folder.path)", quiet: quiet, network.features)
      return try Points(values.array, count: values.shape[0], dimension: values.shape[1], name: folder.path)
    }
    guard let a = points[0], let b = points[1] else { preconditionFailure("a set is neither a folder nor a file") }
    return (a, b)
  }
}

/// One number with its interval, as a table or JSON.
struct EvaluationReport: Encodable {
  let measure: String
  let value: Double
  let low: Double?
  let high: Double?
  let bootstrap: Int
  /// Pictures.
  let real: Int?
  let fake: Int
  let columns: Int
  var parts: Int?
  var deviation: Double?

  init(_ measure: String, _ estimate: MetricEstimate, real: Int?, fake: Int, columns: Int) {
    self.measure = measure
    value = estimate.value
    low = estimate.interval?.lowerBound
    high = estimate.interval?.upperBound
    bootstrap = estimate.replicates
    self.real = real
    self.fake = fake
    self.columns = columns
  }

  func print(json: Bool) throws {
    if json { return try StandardOutput.json(self) }
    func number(_ v: Double) -> String { abs(v) >= 0.01 || v == 0 ? decimal(v, 4) : String(format: "%.4g", v) }
    var rows = [[measure, number(value)]]
    if let low, let high { rows.append(["95 % interval", "\(number(low)) to \(number(high)) (\(bootstrap) resamplings)"]) }
    if let parts, let deviation { rows.append(["parts", "\(parts), deviation \(number(deviation))"]) }
    if let real { rows.append(["real", "\(grouped(real)) pictures"]) }
    rows.append([real == nil ? "pictures" : "fake", "\(grouped(fake))\(real == nil ? "" : " pictures")"])
    rows.append([real == nil ? "classes" : "features", grouped(columns)])
    try StandardOutput.line(table(rows))
  }
}

extension Evaluate {
  struct FID: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "fid", abstract: "Frechet distance: both sets taken for normal distributions.",
      discussion: "Example:\n  sdlab evaluate fid --real a.npy --fake b.npy")

    @OptionGroup var pair: FeaturePair
    @OptionGroup var options: EvaluationOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      try options.check()
      let (real, fake) = try pair.read(quiet: report.quiet)
      let estimate = try FrechetDistance.between(real, fake, replicates: options.bootstrap, seed: options.seed)
      let fewest = min(real.count, fake.count)
      if fewest <= real.dimension {
        report.warn("\(fewest) pictures for \(real.dimension) features: too few for a covariance, the distance is not to be trusted")
      }
      try EvaluationReport("fid", estimate, real: real.count, fake: fake.count, columns: real.dimension).print(json: report.json)
    }
  }

  struct KID: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "kid", abstract: "Kernel distance: unbiased, so that few pictures do, too; over the whole sets.",
      discussion: "Example:\n  sdlab evaluate kid --real a.npy --fake b.npy")

    @OptionGroup var pair: FeaturePair
    @OptionGroup var options: EvaluationOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      try options.check()
      let (real, fake) = try pair.read(quiet: report.quiet)
      let estimate = try KernelDistance.between(real, fake, replicates: options.bootstrap, seed: options.seed)
      try EvaluationReport("kid", estimate, real: real.count, fake: fake.count, columns: real.dimension).print(json: report.json)
    }
  }

  struct IS: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "is", abstract: "Inception score: are single pictures of a class, and all together of many?",
      discussion: "Example:\n  sdlab evaluate is --fake logits.npy")

    @Option(help: ArgumentHelp("Generated pictures: a folder, or their logits, [pictures, classes].", valueName: "dir|file.npy"))
    var fake: String

    @OptionGroup var extraction: ExtractorOptions

    @Flag(help: "The file holds probabilities, not logits.")
    var probabilities = false

    @Option(help: ArgumentHelp("Cut the pictures into parts, in their order: the score is then a mean with a deviation.", valueName: "n"))
    var parts = 1

    @OptionGroup var options: EvaluationOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      try options.check()
      let rows = try self.rows()
      let score = try InceptionScore.of(
        rows, as: probabilities ? .probabilities : .logits, parts: parts, replicates: options.bootstrap, seed: options.seed)
      var result = EvaluationReport("is", score.estimate, real: nil, fake: rows.count, columns: rows.dimension)
      if parts > 1 { (result.parts, result.deviation) = (parts, score.deviation) }
      try result.print(json: report.json)
    }

    private func rows() throws -> Points {
      guard PictureFolder.isFolder(fake) else {
        guard !extraction.isGiven else {
          throw InputError(.usage, "--extractor: \(fake) is no folder of pictures", hint: "leave it out, or give a folder")
        }
        return try EvaluationOptions.features(fake)
      }
      guard !probabilities else { throw InputError(.usage, "--probabilities is for .npy files; a network gives logits") }
      let folder = try PictureFolder(fake)
      let network = try extraction.load(classes: true)
      let values = try folder.looked("looking at \(fake)", quiet: report.quiet, network.logits)
      return try Points(values.array, count: values.shape[0], dimension: values.shape[1], name: fake)
    }
  }
}
