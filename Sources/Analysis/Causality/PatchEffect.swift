import Engine
import Foundation

/// What a patch did to a run, in numbers.
public struct PatchEffect: Sendable, Equatable {
  public enum Metric: String, Sendable, CaseIterable {
    /// Mean absolute difference from the untouched picture B over all pixels and channels, 0...1.
    case change
    /// `1 - |x - A| / |B - A|`, L2 norms over the final latents: 0 when the run stayed as far from A as B is, 1 when it became A, below 0 when it went away
    /// from A.
    case toward
    /// `|x - B| / |B|`, L2 norms over the final latents: 0 for an untouched run.
    case latent
    /// Pearson correlation of the values of all pixels and channels inside a region with those of the reference picture (A; B when there is no A), -1...1.
    case region
  }

  public let change: Double
  /// nil without a run A.
  public let toward: Double?
  public let latent: Double
  /// nil without a region, or when one of the pictures is constant inside it.
  public let region: Double?

  public subscript(_ metric: Metric) -> Double? {
    switch metric {
    case .change: change
    case .toward: toward
    case .latent: latent
    case .region: region
    }
  }

  /// One picture of a run: its final latents `[1, h, w, c]` and its pixels.
  public struct Outcome: Sendable {
    public let latents: Tensor
    public let picture: Picture

    public init(latents: Tensor, picture: Picture) {
      self.latents = latents
      self.picture = picture
    }

    /// Image 0 of a stored run.
    public init(_ run: RunFolder) throws {
      self.init(latents: try run.finalLatents().slice(0..<1), picture: try run.picture(0))
    }
  }

  /// - Parameters:
  ///   - x: the patched run.
  ///   - target: B, untouched.
  ///   - source: A, where there is one.
  ///   - region: which pixels count for `region`, row-major.
  /// - Throws: `InputError` (usage) when sizes differ or A and B are the same.
  public init(_ x: Outcome, target b: Outcome, source a: Outcome?, region: [Bool]? = nil) throws {
    for other in [b, a].compactMap({ $0 }) {
      guard other.latents.shape == x.latents.shape, other.picture.width == x.picture.width, other.picture.height == x.picture.height else {
        throw InputError(
          .usage,
          "runs of \(x.picture.width)x\(x.picture.height) and \(other.picture.width)x\(other.picture.height) pixels cannot be compared")
      }
    }
    guard region.map({ $0.count == x.picture.width * x.picture.height }) ?? true else {
      throw InputError(.usage, "a region of \(region?.count ?? 0) pixels for a picture of \(x.picture.width)x\(x.picture.height)")
    }
    let pixels = Double(max(1, x.picture.pixels.count))
    change = zip(x.picture.pixels, b.picture.pixels).reduce(0.0) { $0 + abs(Double($1.0) - Double($1.1)) } / (255 * pixels)
    let norm = Self.distance(b.latents, nil)
    latent = norm > 0 ? Self.distance(x.latents, b.latents) / norm : 0
    toward = try a.map { a in
      let whole = Self.distance(b.latents, a.latents)
      guard whole > 0 else { throw InputError(.usage, "A and B are the same: there is no way from one to the other") }
      return 1 - Self.distance(x.latents, a.latents) / whole
    }
    self.region = region.flatMap { Self.correlation(x.picture, (a ?? b).picture, $0) }
  }

  /// |a - b|, or |a|; in double.
  static func distance(_ a: Tensor, _ b: Tensor?) -> Double {
    let (p, q) = (a.array, b?.array)
    return p.indices.reduce(0.0) { sum, i in
      let d = Double(p[i]) - Double(q?[i] ?? 0)
      return sum + d * d
    }.squareRoot()
  }

  static func correlation(_ a: Picture, _ b: Picture, _ region: [Bool]) -> Double? {
    let chosen = a.pixels.indices.filter { region[$0 / 3] }
    guard chosen.count > 1 else { return nil }
    let n = Double(chosen.count)
    let (ma, mb) = (chosen.reduce(0.0) { $0 + Double(a.pixels[$1]) } / n, chosen.reduce(0.0) { $0 + Double(b.pixels[$1]) } / n)
    var (ab, aa, bb) = (0.0, 0.0, 0.0)
    for i in chosen {
      let (x, y) = (Double(a.pixels[i]) - ma, Double(b.pixels[i]) - mb)
      ab += x * y
      aa += x * x
      bb += y * y
    }
    return aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : nil
  }
}

/// The part of a picture where a word is.
public enum WordRegion {
  /// A pixel is inside when its cell of the word's map is above `threshold` after the map was stretched to 0...1: DAAM's binary mask, at the map's own
  /// resolution.
  /// - Parameters:
  ///   - map: `[h, w]` of `size`, which divides the picture's sides.
  /// - Returns: one entry a pixel, row-major; no pixel for a map that is the same everywhere.
  public static func mask(_ map: [Float], _ size: MapSize, width: Int, height: Int, threshold: Float = 0.4) throws -> [Bool] {
    guard size.count == map.count, size.count > 0, width % size.width == 0, height % size.height == 0 else {
      throw InputError(.usage, "a map of \(size.width)x\(size.height) does not divide a picture of \(width)x\(height)")
    }
    let (low, high) = (map.min() ?? 0, map.max() ?? 0)
    let (h, w) = (height / size.height, width / size.width)
    return (0..<width * height).map { i in
      high > low && (map[i / width / h * size.width + i % width / w] - low) / (high - low) > threshold
    }
  }
}
