import Analysis
import Engine
import Foundation
import Plots

/// What `interpolate` writes: the contact sheet, and when asked the frames and the film.
struct InterpolationFiles {
  let sheet: URL
  let frames: [URL]
  let film: URL?

  var all: [URL] { [sheet] + (film.map { [$0] } ?? []) + frames }

  init(_ verb: Interpolate, _ prompt: String, _ count: Int) throws {
    sheet = try OutputFile.picture(verb.output.output, default: "interpolation-\(OutputFile.slug(prompt))-\(verb.sampling.seed).png")
    film = try verb.film.map { try OutputFile.picture($0, default: "film.png") }
    let folder = verb.framesOut.map { URL(fileURLWithPath: $0, isDirectory: true) }
    frames =
      folder.map { folder in
        (0..<count).map { folder.appendingPathComponent(String(repeating: "0", count: max(0, 3 - "\($0)".count)) + "\($0).png") }
      } ?? []
  }

  func write(_ verb: Interpolate, _ spacing: AdaptiveSpacing<InterpolationFrame>, _ stations: [String], _ loaded: StableDiffusion) throws {
    for (file, frame) in zip(frames, spacing.frames) {
      var metadata = PictureMetadata()
      try metadata.addOrigin(sdlabVersion: Sdlab.version)
      try frame.picture.writePNG(to: file, metadata: metadata)
    }
    if let film {
      let factor = max(1, 256 / max(spacing.frames[0].picture.width, spacing.frames[0].picture.height))
      let pictures = try spacing.frames.map { try RGBImage($0.picture).magnified(by: factor) }
      let bytes: [UInt8]
      // The ends are held, so that a film that begins anew does not look like a jump of the way.
      do {
        bytes = try AnimatedPNG.encode(pictures, milliseconds: verb.frameTime, lastMilliseconds: min(65535, 8 * verb.frameTime))
      } catch let error as PlotError {
        throw InputError(.cannotWrite, "\(film.relativePath): the film cannot be made: \(error.description)")
      }
      try AtomicFile.write(bytes, to: film)
    }
    try contactSheet(verb, spacing, stations, loaded).write(to: sheet)
  }

  private func contactSheet(
    _ verb: Interpolate, _ spacing: AdaptiveSpacing<InterpolationFrame>, _ stations: [String], _ loaded: StableDiffusion
  ) throws -> ContactSheet {
    let course = Course(stations: stations.count)
    let count = spacing.frames.count
    let tiles = try zip(spacing.positions, spacing.frames).map { t, frame -> ContactSheet.Tile? in
      let (station, gone) = course.place(t)
      let isStation = course.stations > 2 && gone == 0
      return try ContactSheet.Tile(frame.picture, caption: "t = \(decimal(t, 3))" + (isStation ? "\n\(stations[station])" : ""))
    }
    let columns = count <= 6 ? count : count <= 15 ? (count + 2) / 3 : 6
    let rows = stride(from: 0, to: tiles.count, by: columns).map { Array(tiles[$0..<min($0 + columns, tiles.count)]) }
    let sampler = verb.invert ? SamplerName.ddim : verb.sampling.sampler
    var facts = [loaded.source.displayName, sampler.rawValue, "\(verb.sampling.steps) steps"]
    facts.append(verb.toSeed.map { "seed \(verb.sampling.seed) to \($0) (\(verb.noise.rawValue))" } ?? "seed \(verb.sampling.seed)")
    if let from = verb.fromImage, let to = verb.toImage {
      facts.append(
        "\(Self.name(from)) to \(Self.name(to)) (\(verb.invert ? "inverted, " : "")\(verb.latents.rawValue), strength \(decimal(verb.strength ?? (verb.invert ? 1 : 0.5), 2)))"
      )
    }
    facts.append(verb.adaptive ? "adaptive" : "even t")
    facts.append("distances \(decimal(spacing.distances.min() ?? 0, 1)) to \(decimal(spacing.distances.max() ?? 0, 1))")
    return ContactSheet(
      rows: rows, title: stations.joined(separator: " → "), subtitle: facts.joined(separator: ", "),
      theme: verb.sheet.theme.theme)
  }

  private static func name(_ path: String) -> String { URL(fileURLWithPath: path).lastPathComponent }
}

/// `interpolate --json`.
struct InterpolationReport: Encodable {
  struct Knot: Encodable {
    let t: Double
    let travelled: Double
  }
  let sheet: String
  let film: String?
  let frames: [String]?
  /// Of the frames shown.
  let runs: [String]
  let positions: [Double]
  /// Where the prompts of the way lie.
  let stations: [Double]
  let distances: [Double]
  let curve: [Knot]
  /// Frames looked at, those of the search included; and how many of them had to be computed.
  let made: Int
  let computed: Int
  let even: Bool?
  let noise: String
  let embedding: String
  let latents: String?
  /// Runs of the pictures' inversions.
  let inversions: [String]?

  init(
    _ verb: Interpolate, _ spacing: AdaptiveSpacing<InterpolationFrame>, _ course: Course, _ files: InterpolationFiles,
    _ inversions: InvertedEndings?, computed: Int
  ) {
    self.inversions = inversions?.runs
    sheet = files.sheet.relativePath
    film = files.film?.relativePath
    frames = files.frames.isEmpty ? nil : files.frames.map(\.relativePath)
    runs = spacing.frames.map(\.run.url.relativePath)
    positions = spacing.positions
    stations = course.places
    distances = spacing.distances
    curve = spacing.curve.map { Knot(t: $0.position, travelled: $0.travelled) }
    made = spacing.made
    self.computed = computed
    even = verb.adaptive ? spacing.isEven : nil
    noise = verb.noise.rawValue
    embedding = verb.embedding.rawValue
    latents = verb.fromImage == nil ? nil : verb.latents.rawValue
  }
}

extension RGBImage {
  /// Each pixel as a square of `factor` pixels.
  func magnified(by factor: Int) throws -> RGBImage {
    guard factor > 1 else { return self }
    var out: [UInt8] = []
    out.reserveCapacity(pixels.count * factor * factor)
    for y in 0..<height {
      var row: [UInt8] = []
      for x in 0..<width { for _ in 0..<factor { row += pixels[3 * (y * width + x)..<3 * (y * width + x) + 3] } }
      for _ in 0..<factor { out += row }
    }
    return try RGBImage(width: width * factor, height: height * factor, pixels: out)
  }
}
