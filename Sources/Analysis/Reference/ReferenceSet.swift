import Engine
import Foundation

/// Scenes with known factors, beside which a picture can be placed: `scenes.png` (a sheet of square tiles, row by row) and `scenes.jsonl` (a caption and
/// all factors a line, in the same order).
public struct ReferenceSet: Sendable {
  public struct Scene: Decodable, Sendable {
    public struct Object: Decodable, Sendable {
      public let noun: String
      public let colour: String
      public let size: String
    }
    public let caption: String
    public let setting: String
    public let relation: String?
    public let objects: [Object]
  }

  public let scenes: [Scene]
  /// All pictures in one.
  public let sheet: Picture
  /// The PNG file of the sheet.
  public let sheetFile: URL
  /// Side of a tile in pixels.
  public let tile: Int

  /// - Parameter folder: the resource `scenes-reference`.
  public init(folder: URL) throws {
    sheetFile = folder.appendingPathComponent("scenes.png")
    sheet = try Picture(url: sheetFile)
    let list = folder.appendingPathComponent("scenes.jsonl")
    guard let text = try? String(contentsOf: list, encoding: .utf8) else { throw InputError(.missing, "\(list.path): cannot be read") }
    scenes = try text.split(separator: "\n").enumerated().map { line, json in
      do { return try JSONDecoder().decode(Scene.self, from: Data(json.utf8)) } catch {
        throw InputError(.badData, "\(list.path): line \(line + 1) is no scene")
      }
    }
    let columns = Int(Double(scenes.count).squareRoot().rounded(.up))
    tile = columns > 0 ? sheet.width / columns : 0
    guard tile > 0, columns * tile == sheet.width, (scenes.count + columns - 1) / columns * tile <= sheet.height else {
      throw InputError(.badData, "\(sheetFile.path): \(sheet.width)x\(sheet.height) pixels do not hold \(scenes.count) square tiles")
    }
  }

  /// One scene's picture.
  public func picture(_ index: Int) -> Picture {
    let columns = sheet.width / tile
    let (x, y) = (index % columns * tile, index / columns * tile)
    var pixels: [UInt8] = []
    pixels.reserveCapacity(3 * tile * tile)
    for row in y..<y + tile { pixels += sheet.pixels[3 * (row * sheet.width + x)..<3 * (row * sheet.width + x + tile)] }
    return Picture(width: tile, height: tile, pixels: pixels)
  }

  /// The scenes' features as they were stored for a model.
  /// - Returns: nil when there are none, or they are of another model.
  public static func storedFeatures(_ folder: URL, modelSha256: String) throws -> [LatentFeatures]? {
    let file = folder.appendingPathComponent("features.safetensors")
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    let contents = try Safetensors.read(file)
    guard contents.metadata["model_sha256"] == modelSha256 else { return nil }
    func rows(_ name: String) throws -> [[Float]] {
      guard let stored = contents.tensors.first(where: { $0.name == name }), stored.shape.count == 2 else {
        throw InputError(.badData, "\(file.path): expected a matrix \(name)")
      }
      let flat = try stored.float32().array
      return (0..<stored.shape[0]).map { Array(flat[$0 * stored.shape[1]..<($0 + 1) * stored.shape[1]]) }
    }
    let (latents, h, text) = (try rows("latents"), try rows("h"), try rows("text"))
    guard latents.count == h.count, h.count == text.count else { throw InputError(.badData, "\(file.path): numbers of rows differ") }
    return zip(latents, zip(h, text)).map { LatentFeatures(latents: $0, h: $1.0, text: $1.1) }
  }

  /// Writes features for `storedFeatures`, as float16.
  public static func store(_ features: [LatentFeatures], modelSha256: String, to url: URL) throws {
    func matrix(_ rows: [[Float]]) -> Safetensors.Value {
      let data = rows.joined().map { Float16(max(-65504, min(65504, $0))) }.withUnsafeBytes { Data($0) }
      return .raw(.float16, shape: [rows.count, rows.first?.count ?? 0], data)
    }
    try Safetensors.write(
      [("latents", matrix(features.map(\.latents))), ("h", matrix(features.map(\.h))), ("text", matrix(features.map(\.text)))],
      metadata: ["model_sha256": modelSha256, "timestep": "\(LatentFeatures.timestep)", "seed": "\(LatentFeatures.seed)"], to: url)
  }
}
