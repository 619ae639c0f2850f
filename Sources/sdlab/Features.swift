import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Features: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find the places of one picture in another: correspondences by the network's own features.",
    discussion: """
      DIFT (Tang et al. 2023): both pictures are noised to one timestep, the features of one up block are averaged over several noises, and a place of the first \
      picture is looked for in the second by cosine similarity. Without --point, places that are each other's most similar are shown. A picture is a \
      PNG or JPEG, a run, or a prompt, for which a run is made with all options of `generate`.

      Examples:
        sdlab features house.png other.png --point 20,30 --point 41,52
        sdlab features "a red house" "a blue house" --steps 20 --point 20,30
        sdlab features runs/a-red-house-42-1a2b3c4d photo.png --prompt "a red house" --arrays features.safetensors
      """)

  @Argument(help: ArgumentHelp("The picture, run or prompt that has the places.", valueName: "image|run|prompt"))
  var first: String

  @Argument(help: ArgumentHelp("The one in which they are looked for.", valueName: "image|run|prompt"))
  var second: String

  @Option(
    name: .customLong("point"),
    help: ArgumentHelp(
      "A place of the first picture in pixels from its upper left corner; several may be given, up to 12.", valueName: "x,y"))
  var points: [String] = []

  @Option(help: ArgumentHelp("What both pictures show, as the network is told.", valueName: "text"))
  var prompt = ""

  @Option(
    help: ArgumentHelp(
      "The up block, from 0. Default: 1 for a network of four levels, as published; otherwise the first whose number of places is nearest to 32x32.",
      valueName: "i"))
  var block: Int?

  @Option(help: ArgumentHelp("The timestep to which the pictures are noised, 0 to 999.", valueName: "t"))
  var at = DiffusionFeatures.timestep

  @Option(help: ArgumentHelp("Number of noises, 1 to 64; their features are averaged.", valueName: "n"))
  var ensemble = DiffusionFeatures.ensemble

  @Option(help: ArgumentHelp("Seed of the noises, the same for both pictures.", valueName: "k"))
  var noiseSeed: UInt64 = 42

  @Option(help: ArgumentHelp("Which image of a run with several, from 0.", valueName: "i"))
  var index = 0

  @Option(
    help: ArgumentHelp(
      "Also write the features of both, `a` and `b` [channels, h, w], and `similarity` [points, height, width].",
      valueName: "file.safetensors"))
  var arrays: String?

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    guard (1...64).contains(ensemble) else { throw InputError(.usage, "--ensemble \(ensemble): expected 1 to 64") }
    guard points.count <= 12 else { throw InputError(.usage, "--point: \(points.count) places, expected at most 12") }
    let given = try points.map(Self.point)
    let arraysFile = try arrays.map { path in
      guard path.lowercased().hasSuffix(".safetensors") else {
        throw InputError(.usage, "--arrays \(path): several arrays need a .safetensors file", hint: "give a name that ends in .safetensors")
      }
      return URL(fileURLWithPath: path)
    }
    let target = try figure.target(
      default: "features-\(OutputFile.slug(Self.stem(first)))-\(OutputFile.slug(Self.stem(second)))",
      alsoWriting: arraysFile.map { [$0] } ?? [])
    let (subjects, loaded) = try subjects()
    for (point, text) in zip(given, points) {
      let p = subjects[0].picture
      guard (0..<p.width).contains(point.x), (0..<p.height).contains(point.y) else {
        throw InputError(
          .usage, "--point \(text): \(first) is \(p.width)x\(p.height)",
          hint: "x from 0 to \(p.width - 1), y from 0 to \(p.height - 1)")
      }
    }
    let text = try loaded.embedding(loaded.tokenize(prompt))
    if let warning = try loaded.tokenize(prompt).warning { report.warn(warning) }
    let fitted = try subjects.map { try $0.fitted(to: loaded.vae.config, report) }
    let factor = loaded.vae.config.factor
    let block =
      block
      ?? DiffusionFeatures.defaultBlock(
        levels: loaded.unet.config.blockOutChannels.count,
        latents: MapSize(height: fitted[0].height / factor, width: fitted[0].width / factor))
    var bar = ProgressBar("features", total: 2 * ensemble, quiet: report.quiet)
    let sides = try fitted.map { picture in
      let latents = try loaded.encode(picture.tensor)
      var random = TorchRandom(seed: noiseSeed)
      let noise = random.normal(nhwc: [ensemble, latents.shape[1], latents.shape[2], latents.shape[3]])
      var done = 0
      let features = try DiffusionFeatures(loaded, latents: latents, text: text, block: block, timestep: at, noise: noise) { count in
        bar.advance(by: count - done)
        done = count
      }
      return Correspondence.Side(features, picture: MapSize(height: picture.height, width: picture.width))
    }
    let found = try Correspondence(sides[0], sides[1])
    let back = try found.reversed
    let mutual = found.mutual()
    let matches = try given.map { point in
      let (match, map) = try found.match(subjects[0].scaled(point, to: fitted[0]))
      return Found(match: match, map: map, back: try back.match(match.to).match.to)
    }
    let shown = matches.isEmpty ? Correspondence.spread(mutual, over: sides[0].picture, perSide: 4) : matches.map(\.match)
    if let arraysFile { try write(sides, matches, to: arraysFile) }
    let drawing = CorrespondenceFigure(
      pictures: fitted, names: [Self.stem(first), Self.stem(second)], matches: shown, maps: matches.map(\.map),
      about:
        "features of up block \(block) (\(sides[0].features.size.height)x\(sides[0].features.size.width) places), timestep \(at), mean over \(ensemble) noises\(prompt.isEmpty ? "" : ", \"\(prompt)\"")",
      share: Double(mutual.count) / Double(max(1, sides[0].features.size.count)), dark: figure.theme == .dark)
    try figure.write(drawing.figure(), to: target.url, target.format)
    func pixel(_ p: Correspondence.Pixel, _ side: Int) -> [Int] {
      let q = subjects[side].original(p, from: fitted[side])
      return [q.x, q.y]
    }
    let rows = matches.map { f in
      Report.Match(
        from: pixel(f.match.from, 0), to: pixel(f.match.to, 1), similarity: f.match.similarity, back: pixel(f.back, 0),
        backDistance: f.match.from.distance(to: f.back))
    }
    if report.json {
      try StandardOutput.json(
        Report(
          figure: target.url.relativePath, runs: subjects.map { $0.run?.relativePath }, arrays: arraysFile?.relativePath,
          block: "unet.up_blocks.\(block).out", timestep: at,
          ensemble: ensemble, seed: noiseSeed, prompt: prompt, channels: sides[0].features.channels,
          cells: sides.map { [$0.features.size.height, $0.features.size.width] }, matches: rows,
          mutual: mutual.map { .init(from: pixel($0.from, 0), to: pixel($0.to, 1), similarity: $0.similarity) },
          mutualShare: drawing.share))
    } else {
      if rows.isEmpty {
        try StandardOutput.line(
          "\(mutual.count) of \(sides[0].features.size.count) places have a mutual partner (\(decimal(100 * drawing.share, 1)) %)")
      } else {
        let head = ["place", "found at", "similarity", "and back at"]
        func text(_ p: [Int]) -> String { p.map(String.init).joined(separator: ",") }
        try StandardOutput.line(table([head] + rows.map { [text($0.from), text($0.to), decimal($0.similarity, 3), text($0.back)] }))
      }
      for url in [arraysFile, target.url].compactMap({ $0 }) { try StandardOutput.line(url.relativePath) }
    }
  }

  /// Both pictures, those of prompts made now, and the model. Those that are there are looked at first: nothing is made beside a name that is wrong.
  private func subjects() throws -> ([ExistingPicture], StableDiffusion) {
    let store = runs.store
    let there = try [first, second].map { name in
      ExistingPicture.isPrompt(name, store) ? nil : try ExistingPicture(name, index: index, store: store)
    }
    let loaded = try model.load(report)
    let all = try zip([first, second], there).map { name, found in
      try found
        ?? ExistingPicture(prompt: name, index: index, store, again: runs.again) {
          try PictureRun.prepare(name, model, sampling, picture, report, loaded: loaded).run
        }
    }
    return (all, loaded)
  }

  private struct Found {
    let match: Correspondence.Match
    let map: [Float]
    /// Where the place found leads in the first picture.
    let back: Correspondence.Pixel
  }

  /// How a subject is called: a picture's name without its ending, a run's without its folders, a prompt as it is.
  private static func stem(_ subject: String) -> String {
    if subject.contains(" ") && !FileManager.default.fileExists(atPath: subject) { return subject }
    let url = URL(fileURLWithPath: subject)
    return ["png", "jpg", "jpeg"].contains(url.pathExtension.lowercased())
      ? url.deletingPathExtension().lastPathComponent : url.lastPathComponent
  }

  private static func point(_ text: String) throws -> Correspondence.Pixel {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0.filter { $0 != " " }) }
    guard parts.count == 2, let x = parts[0], let y = parts[1] else {
      throw InputError(.usage, "--point \(text): expected two whole numbers", hint: "for example --point 20,30")
    }
    return .init(x: x, y: y)
  }

  private func write(_ sides: [Correspondence.Side], _ matches: [Found], to url: URL) throws {
    func features(_ side: Correspondence.Side) -> Tensor {
      let f = side.features
      return Tensor(f.values, [1, f.size.height, f.size.width, f.channels]).nchw().reshaped([f.channels, f.size.height, f.size.width])
    }
    var tensors = [("a", features(sides[0])), ("b", features(sides[1]))]
    if !matches.isEmpty {
      let size = sides[1].picture
      tensors.append(("similarity", Tensor(matches.flatMap(\.map), [matches.count, size.height, size.width])))
    }
    try Safetensors.write(tensors, to: url)
  }

  private struct Report: Encodable {
    struct Pair: Encodable {
      let from: [Int]
      let to: [Int]
      let similarity: Double
    }
    struct Match: Encodable {
      let from: [Int]
      let to: [Int]
      let similarity: Double
      /// Where the place found leads in the first picture, and how far from the beginning in pixels.
      let back: [Int]
      let backDistance: Double
    }
    let figure: String
    /// Runs that the pictures are of; null for a file.
    let runs: [String?]
    let arrays: String?
    let block: String
    let timestep: Int
    let ensemble: Int
    let seed: UInt64
    let prompt: String
    let channels: Int
    /// Height and width of the features of each picture.
    let cells: [[Int]]
    let matches: [Match]
    let mutual: [Pair]
    let mutualShare: Double
  }
}
