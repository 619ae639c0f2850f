import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

@Suite struct CorrespondenceTests {
  struct Case: Decodable {
    var `case`: String
    var prompt: String
    var block: Int
    var timestep: Int
    var ensemble: Int
    var points: [[Int]]
    var matches: [[Int]]
    var mutual: [[Int]]
    var cells: [[Int]]
  }
  struct File: Decodable { var cases: [Case] }

  private func features(
    _ model: StableDiffusion, _ picture: Picture, block: Int = 1, timestep: Int = 261, ensemble: Int = 8, prompt: String = ""
  ) throws -> DiffusionFeatures {
    let latents = try model.encode(picture.tensor)
    var random = TorchRandom(seed: 42)
    let noise = random.normal(nhwc: [ensemble, latents.shape[1], latents.shape[2], latents.shape[3]])
    return try DiffusionFeatures(
      model, latents: latents, text: model.embedding(model.tokenize(prompt)), block: block, timestep: timestep, noise: noise)
  }

  private func error(_ f: DiffusionFeatures, _ golden: Tensor) -> Double {
    relativeError(Tensor(f.values, [1, f.size.height, f.size.width, f.channels]), golden)
  }

  /// Features, similarity maps, best places and mutual neighbours of two scenes.
  @Test(arguments: ["default", "other"]) func asDiffusers(name: String) throws {
    let c = try #require(try Golden.json("features/cases.json", as: File.self).cases.first { $0.case == name })
    let golden = try Golden("features/features.safetensors")
    let model = try HeatmapTests.model.get()
    var sides: [Correspondence.Side] = []
    for side in ["a", "b"] {
      let shape = try golden.shape("\(name):\(side).picture")
      let picture = Picture(width: shape[1], height: shape[0], pixels: try golden.bytes("\(name):\(side).picture"))
      #expect(relativeError(try model.encode(picture.tensor), try golden.nhwc("\(name):\(side).latents")) < 1e-3)
      let f = try features(model, picture, block: c.block, timestep: c.timestep, ensemble: c.ensemble, prompt: c.prompt)
      let expected = try golden.nhwc("\(name):\(side).features")
      #expect(error(f, expected) < 1e-3)
      // What a wrong timestep, prompt or fewer noises would give.
      for wrong in [
        try features(model, picture, block: c.block, timestep: c.timestep + 20, ensemble: c.ensemble, prompt: c.prompt),
        try features(model, picture, block: c.block, timestep: c.timestep, ensemble: c.ensemble, prompt: "a blue boat"),
        try features(model, picture, block: c.block, timestep: c.timestep, ensemble: c.ensemble - 1, prompt: c.prompt),
      ] { #expect(error(wrong, expected) > 4e-3) }
      sides.append(.init(f, picture: MapSize(height: shape[0], width: shape[1])))
    }
    let found = try Correspondence(sides[0], sides[1])
    let maps = try golden.values("\(name):similarity")
    for (i, point) in c.points.enumerated() {
      let (match, map) = try found.match(.init(x: point[0], y: point[1]))
      let expected = maps[i * map.count..<(i + 1) * map.count].map(Double.init)
      #expect(relativeError(map, expected) < 1e-3, "point \(point)")
      #expect([match.to.x, match.to.y] == c.matches[i] && abs(match.similarity - (expected.max() ?? 0)) < 1e-3)
      // The place a cell beside it has another map (a pixel beside it may not: at the border the features are flat).
      let beside = Correspondence.Pixel(x: point[0] < 4 ? point[0] + 4 : point[0] - 4, y: point[1])
      #expect(relativeError(try found.similarity(of: beside), expected) > 4e-3)
    }
    func cell(_ pixel: Correspondence.Pixel, _ side: Int) -> Int {
      let (picture, cells) = (sides[side].picture, c.cells[side])
      let row = pixel.y * cells[0] / picture.height
      return row * cells[1] + pixel.x * cells[1] / picture.width
    }
    let mutual: [[Int]] = found.mutual().map { [cell($0.from, 0), cell($0.to, 1)] }
    #expect(mutual == c.mutual)
  }

  /// Random vectors in each cell, and the same moved, mirrored or left alone: every cell is found where it went.
  @Test func knownCorrespondencesOfMadeFeatures() throws {
    let (h, w, c) = (6, 9, 16)
    var random = TorchRandom(seed: 3)
    let values = random.normal(count: h * w * c)
    func side(_ from: (Int, Int) -> (Int, Int)) -> Correspondence.Side {
      var out: [Float] = []
      for y in 0..<h {
        for x in 0..<w {
          let (sy, sx) = from(y, x)
          out += values[(sy * w + sx) * c..<(sy * w + sx + 1) * c].map { 3 * $0 }
        }
      }
      return .init(
        DiffusionFeatures(size: MapSize(height: h, width: w), channels: c, values: out), picture: MapSize(height: 4 * h, width: 4 * w))
    }
    let original = side { ($0, $1) }
    let cases: [(String, Correspondence.Side, (Int, Int) -> (Int, Int))] = [
      ("same", original, { ($0, $1) }),
      ("moved", side { (($0 + h - 1) % h, ($1 + w - 2) % w) }, { (($0 + 1) % h, ($1 + 2) % w) }),
      ("mirrored", side { ($0, w - 1 - $1) }, { ($0, w - 1 - $1) }),
    ]
    for (name, other, target) in cases {
      let found = try Correspondence(original, other)
      let mutual = found.mutual()
      #expect(mutual.count == h * w, "\(name)")
      for match in mutual {
        let (y, x) = target(match.from.y / 4, match.from.x / 4)
        #expect(match.to == .init(x: 4 * x + 2, y: 4 * y + 2) && abs(match.similarity - 1) < 1e-5, "\(name) \(match)")
      }
      // A pixel beside the middle of a cell is found within a pixel of where it went, where the neighbours went along.
      for (y, x) in [(1, 1), (2, 4), (3, 5)] {
        let (match, map) = try found.match(.init(x: 4 * x + 1, y: 4 * y + 1))
        let (ty, tx) = target(y, x)
        #expect(match.to == .init(x: 4 * tx + (name == "mirrored" ? 2 : 1), y: 4 * ty + 1) && match.similarity > 0.9999, "\(name) \(match)")
        #expect(map.allSatisfy { (-1.0001...1.0001).contains($0) })
      }
    }
    let found = try Correspondence(original, original)
    #expect(throws: InputError.self) { try found.similarity(of: .init(x: 4 * w, y: 0)) }
    #expect(throws: InputError.self) { try found.similarity(of: .init(x: 0, y: -1)) }
    let spread = Correspondence.spread(found.mutual(), over: MapSize(height: 4 * h, width: 4 * w), perSide: 3)
    #expect(spread.count == 9 && Set(spread.map { $0.from.y * 3 / (4 * h) * 3 + $0.from.x * 3 / (4 * w) }).count == 9)
    var broken = values
    broken[7] = .nan
    let bad = Correspondence.Side(
      .init(size: MapSize(height: h, width: w), channels: c, values: broken), picture: MapSize(height: h, width: w))
    #expect(throws: InputError.self) { try Correspondence(original, bad) }
    let narrow = Correspondence.Side(
      .init(size: MapSize(height: 1, width: 1), channels: 1, values: [1]), picture: MapSize(height: 4, width: 4))
    #expect(throws: InputError.self) { try Correspondence(original, narrow) }
    // Nothing is similar to nothing, and nothing is divided by it.
    let zero = Correspondence.Side(
      .init(size: MapSize(height: 1, width: 1), channels: c, values: [Float](repeating: 0, count: c)), picture: MapSize(height: 4, width: 4)
    )
    #expect(try Correspondence(original, zero).match(.init(x: 0, y: 0)).match.similarity == 0)
  }

  /// A scene moved by whole feature cells on the embedded model: interior places are found where they went; the picture itself: everywhere.
  @Test func aMovedSceneIsFoundWhereItWent() throws {
    let model = try HeatmapTests.model.get()
    let golden = try Golden("features/features.safetensors")
    let pixels = try golden.bytes("default:a.picture")
    let (dx, dy) = (8, 4)
    var moved = pixels
    for y in 0..<64 {
      for x in 0..<64 {
        // What comes in at the border is the border's own colour.
        let from = (max(0, y - dy) * 64 + max(0, x - dx)) * 3
        moved.replaceSubrange((y * 64 + x) * 3..<(y * 64 + x + 1) * 3, with: pixels[from..<from + 3])
      }
    }
    let size = MapSize(height: 64, width: 64)
    let a = Correspondence.Side(try features(model, Picture(width: 64, height: 64, pixels: pixels)), picture: size)
    let b = Correspondence.Side(try features(model, Picture(width: 64, height: 64, pixels: moved)), picture: size)
    let itself = try Correspondence(a, a)
    #expect(itself.mutual().count == 256 && itself.mutual().allSatisfy { $0.from == $0.to })
    #expect(try itself.match(.init(x: 20, y: 30)).match.to == .init(x: 20, y: 30))
    let mutual = try Correspondence(a, b).mutual().filter { (8..<48).contains($0.from.x) && (8..<48).contains($0.from.y) }
    let right = mutual.filter { abs($0.to.x - $0.from.x - dx) <= 4 && abs($0.to.y - $0.from.y - dy) <= 4 }
    #expect(mutual.count > 50 && Double(right.count) > 0.8 * Double(mutual.count), "\(mutual.count) of 100 mutual, \(right.count) right")
  }

  @Test func blocksAndTimesteps() throws {
    // Stable Diffusion: block 1, whatever the size; the embedded model: its first block of 16x16.
    #expect(DiffusionFeatures.defaultBlock(levels: 4, latents: MapSize(height: 64, width: 64)) == 1)
    #expect(DiffusionFeatures.defaultBlock(levels: 4, latents: MapSize(height: 96, width: 96)) == 1)
    #expect(DiffusionFeatures.defaultBlock(levels: 3, latents: MapSize(height: 16, width: 16)) == 1)
    #expect(DiffusionFeatures.defaultBlock(levels: 3, latents: MapSize(height: 64, width: 64)) == 0)
    let model = try HeatmapTests.model.get()
    let picture = Picture(width: 64, height: 64, pixels: [UInt8](repeating: 128, count: 64 * 64 * 3))
    #expect(throws: InputError.self) { try features(model, picture, block: 3, ensemble: 1) }
    #expect(throws: InputError.self) { try features(model, picture, timestep: 1000, ensemble: 1) }
  }
}
