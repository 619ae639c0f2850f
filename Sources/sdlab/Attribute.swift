import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Attribute: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ask which words made a region of the picture: gradients of the network's answer by the prompt.",
    discussion: """
      The picture is noised to some timesteps; integrated gradients share out among the words what the prompt changes there. Takes a run, or a prompt, for which a \
      run is made; with --image an existing picture, which the argument describes.

      Examples:
        sdlab attribute "a red house next to a green tree" --region 32,24,32,32
        sdlab attribute runs/a-red-house-42-1a2b3c4d --mask roof.png --points 32
        sdlab attribute "a red house" --image photo.png --method gradient
      """)

  @Argument(help: ArgumentHelp("A run, or a prompt.", valueName: "run|prompt"))
  var subject: String

  @Option(help: ArgumentHelp("The region in pixels: left edge, top edge, width, height. Default: the whole picture.", valueName: "x,y,w,h"))
  var region: String?

  @Option(help: ArgumentHelp("The region as a picture: white counts, black does not. Brought to the picture's size.", valueName: "file"))
  var mask: String?

  @Option(help: ArgumentHelp("ig: integrated gradients; gradient: gradient times input, at the prompt alone.", valueName: "name"))
  var method = WordAttribution.Method.integrated

  @Option(help: ArgumentHelp("Points of the integral, 1 to 1000.", valueName: "n"))
  var points = 16

  @Option(help: ArgumentHelp("Timesteps to which the picture is noised, separated by commas.", valueName: "t,t"))
  var at = "200,400,600"

  @Option(help: ArgumentHelp("Seed of the noise.", valueName: "k"))
  var noiseSeed: UInt64 = 0

  @Option(help: ArgumentHelp("Look at this picture instead of making one; the argument is its prompt.", valueName: "file"))
  var image: String?

  @Option(help: ArgumentHelp("Which image of a run with several, from 0.", valueName: "i"))
  var index = 0

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  /// A word, or the tokens that are none, with its share.
  private struct Line {
    let name: String
    let share: Double
  }

  func run() throws {
    guard (1...1000).contains(points) else { throw InputError(.usage, "--points \(points): expected 1 to 1000") }
    guard region == nil || mask == nil else { throw InputError(.usage, "--region and --mask: expected one of them") }
    let timesteps = try timestepList(at)
    let box = try region.map(Self.box)
    let masked = try mask.map { try Picture(url: URL(fileURLWithPath: $0)) }
    let target = try figure.target(default: "attribute-\(OutputFile.slug(subject))")
    let subject = try LatentSubject(self.subject, image: image, index: index, runs, model, sampling, picture, report)
    let s = try subject.resolved()
    let size = MapSize(height: s.latents.shape[1], width: s.latents.shape[2])
    let weights = try Self.weights(box, masked, s.picture, size)
    var prompts = [subject.prompt, try s.model.tokenize("")]
    TokenizedPrompt.equalizeChunks(&prompts)
    var bar = ProgressBar(
      "attributing", total: timesteps.count * (method == .integrated ? points : 1), quiet: report.quiet)
    let found = try WordAttribution(
      s.model, latents: s.latents, text: s.model.embedding(prompts[0], clipSkip: s.clipSkip), baseline: s.model.embedding(prompts[1]),
      region: weights, timesteps: timesteps, method: method, points: points, seed: noiseSeed
    ) { _ in bar.advance() }
    let words = try subject.prompt.distinctWords.map { Line(name: $0, share: found.share(try subject.prompt.places(of: $0))) }
    let named = words.reduce(0) { $0 + $1.share }
    // EOS and padding have read the whole prompt; BOS is that of the empty prompt.
    let rest = Line(name: "end and padding", share: found.completeness - named)
    try figure.write(draw(subject.prompt.text, s, words + [rest], weights, size, found, timesteps), to: target.url, target.format)
    if report.json {
      try StandardOutput.json(
        Report(
          figure: target.url.relativePath, run: s.run?.relativePath, method: method.rawValue, points: method == .integrated ? points : 1,
          timesteps: timesteps, noiseSeed: noiseSeed, places: weights.count { $0 > 0 }, completeness: found.completeness,
          words: words.map { .init(word: $0.name, share: $0.share) }, endAndPadding: rest.share))
    } else {
      try StandardOutput.line(table((words + [rest]).map { [$0.name, "\(decimal(100 * $0.share, 1)) %"] }))
      try StandardOutput.line(target.url.relativePath)
    }
  }

  private typealias Box = (x: Int, y: Int, width: Int, height: Int)

  private static func box(_ text: String) throws -> Box {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard numbers.count == 4, let x = numbers[0], let y = numbers[1], let w = numbers[2], let h = numbers[3], x >= 0, y >= 0, w > 0, h > 0
    else {
      throw InputError(.usage, "--region \(text): expected four whole numbers x,y,width,height", hint: "for example --region 32,24,32,32")
    }
    return (x, y, w, h)
  }

  /// The share of each place of the latents that lies in the region.
  private static func weights(_ box: Box?, _ mask: Picture?, _ picture: Picture, _ size: MapSize) throws -> [Float] {
    let (h, w) = (picture.height / size.height, picture.width / size.width)
    let isInside: (Int, Int) -> Float
    if let box {
      guard box.x + box.width <= picture.width, box.y + box.height <= picture.height else {
        throw InputError(
          .usage, "--region \(box.x),\(box.y),\(box.width),\(box.height): does not lie in the picture of \(picture.width)x\(picture.height)"
        )
      }
      isInside = { x, y in (box.x..<box.x + box.width).contains(x) && (box.y..<box.y + box.height).contains(y) ? 1 : 0 }
    } else if let mask {
      let fitted =
        mask.width == picture.width && mask.height == picture.height ? mask : mask.resized(width: picture.width, height: picture.height)
      isInside = { x, y in Float(fitted.pixels[3 * (y * fitted.width + x)]) / 255 }
    } else {
      isInside = { _, _ in 1 }
    }
    let weights = (0..<size.count).map { place -> Float in
      let (top, left) = (place / size.width * h, place % size.width * w)
      var sum: Float = 0
      for y in top..<top + h { for x in left..<left + w { sum += isInside(x, y) } }
      return sum / Float(h * w)
    }
    guard weights.contains(where: { $0 > 0 }) else { throw InputError(.usage, "the region is empty: nothing of it is white or inside") }
    return weights
  }

  private func draw(
    _ prompt: String, _ s: LatentSubject.Resolved, _ lines: [Line], _ weights: [Float], _ size: MapSize, _ found: WordAttribution,
    _ timesteps: [Int]
  ) throws -> Figure {
    let whole = weights.allSatisfy { $0 == 1 }
    let shown = try RGBImage(Self.dimmed(s.picture, weights, size))
    return Figure(
      title: "\"\(prompt)\"",
      subtitle:
        "\(method == .integrated ? "integrated gradients, \(points) points" : "gradient times input"), t = \(timesteps.map(String.init).joined(separator: ", ")); \(s.about)",
      note:
        "Share of each word in what the prompt changes in the region; all together \(decimal(100 * found.completeness, 1)) %. Negative: the word works against it. The end of the prompt and the padding have read all words.",
      columns: 2, width: 720,
      panels: [
        .picture(whole ? "the whole picture" : "the region", marks: [.image(shown)]),
        Panel(
          "share by word", x: .linear("share", unit: "%", zero: true), y: .categorical("", lines.map(\.name)),
          marks: [.bars(lines.map { 100 * $0.share }, horizontal: true)]),
      ])
  }

  /// What does not count is dark.
  private static func dimmed(_ picture: Picture, _ weights: [Float], _ size: MapSize) -> Picture {
    let (h, w) = (picture.height / size.height, picture.width / size.width)
    var pixels = picture.pixels
    for i in pixels.indices {
      let (y, x) = (i / 3 / picture.width, i / 3 % picture.width)
      let weight = weights[min(y / h, size.height - 1) * size.width + min(x / w, size.width - 1)]
      pixels[i] = UInt8(Float(pixels[i]) * (0.25 + 0.75 * min(1, weight)))
    }
    return Picture(width: picture.width, height: picture.height, pixels: pixels)
  }

  private struct Report: Encodable {
    struct Word: Encodable {
      let word: String
      let share: Double
    }
    let figure: String
    let run: String?
    let method: String
    let points: Int
    let timesteps: [Int]
    let noiseSeed: UInt64
    let places: Int
    let completeness: Double
    let words: [Word]
    let endAndPadding: Double
  }
}

extension WordAttribution.Method: ExpressibleByArgument {}
