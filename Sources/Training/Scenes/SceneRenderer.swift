import Engine

/// A scene as pixels.
public struct RenderedScene: Sendable, Equatable {
  public let picture: Picture
  /// For each object, how much of each pixel it covers after occlusion, 0 to 255: `[objects][side * side]`, row by row.
  public let masks: [[UInt8]]

  /// What each pixel shows, `[side * side]`: 0 background, 1 the first object, 2 the second, where it covers more than half.
  public var labels: [UInt8] {
    var out = [UInt8](repeating: 0, count: picture.width * picture.height)
    for (k, mask) in masks.enumerated() {
      for i in out.indices where mask[i] > 127 { out[i] = UInt8(k + 1) }
    }
    return out
  }
}

extension Scene {
  /// - Parameter size: pixels a side, 8 to 4096. All proportions stay, outlines too.
  /// - Throws: `InputError` `.usage` for other sizes or when memory runs out.
  public func render(size: Int = 64) throws -> Picture { try rendered(size: size).picture }

  /// For each object, how much of each pixel it covers after occlusion, 0 to 255.
  public func masks(size: Int = 64) throws -> [[UInt8]] { try rendered(size: size).masks }

  public func rendered(size: Int = 64) throws -> RenderedScene { try SceneRenderer(size: size).render(self) }
}

/// Draws scenes of one size, one after another, on the same canvas. Not to be shared between threads.
public final class SceneRenderer {
  private let canvas: Canvas
  private let side: Int

  /// - Parameter size: pixels a side, 8 to 4096.
  public init(size: Int) throws {
    canvas = try Canvas(side: size)
    side = size
  }

  public func render(_ scene: Scene) throws -> RenderedScene {
    let count = side * side
    // Premultiplied red, green, blue, 0 to 1, unrounded until the end: an object's edge is mixed with what lies behind.
    var light = [Float](repeating: 0, count: 3 * count)
    var covers = [[Float]](repeating: [], count: scene.objects.count)
    canvas.clear()
    canvas.draw(scene)
    try onto(&light, nil)
    for i in scene.drawingOrder {
      let o = scene.objects[i]
      canvas.clear()
      canvas.enter(x: o.x, y: o.y, turned: o.noun.turns ? o.rot : 0, radius: o.r, mirrored: o.flip)
      canvas.draw(o.noun, Inks(o.colour, jitter: o.jit))
      var cover = [Float](repeating: 0, count: count)
      try onto(&light, &cover)
      for j in covers.indices where !covers[j].isEmpty {
        for k in 0..<count { covers[j][k] *= 1 - cover[k] }
      }
      covers[i] = cover
    }
    return RenderedScene(
      picture: Picture(width: side, height: side, pixels: Self.bytes(light)), masks: covers.map(Self.bytes))
  }

  /// Puts the canvas over the picture.
  private func onto(_ light: inout [Float], _ cover: UnsafeMutablePointer<Float>?) throws {
    let side = side
    let drawn: Void? = light.withUnsafeMutableBufferPointer { light in
      canvas.withPixels { pixels, stride in
        for y in 0..<side {
          let row = pixels + y * stride
          for x in 0..<side {
            let alpha = row[4 * x + 3]
            if alpha == 0 { continue }
            let k = y * side + x
            let a = Float(alpha) / 255
            cover?[k] = a
            for c in 0..<3 { light[3 * k + c] = Float(row[4 * x + 2 - c]) / 255 + light[3 * k + c] * (1 - a) }
          }
        }
      }
    }
    guard drawn != nil else { throw InputError(.usage, "size \(side): no memory to draw with", hint: "choose a smaller size") }
  }

  /// 0...1 as 0...255, halves upwards.
  private static func bytes(_ values: [Float]) -> [UInt8] { values.map { UInt8(min(max($0, 0), 1) * 255 + 0.5) } }
}

extension Scene {
  /// From the back to the front: what stands lower in the picture is nearer.
  var drawingOrder: [Int] {
    objects.indices.sorted { a, b in
      let (bottomA, bottomB) = (objects[a].y + objects[a].r, objects[b].y + objects[b].r)
      return bottomA == bottomB ? a < b : bottomA < bottomB
    }
  }
}
