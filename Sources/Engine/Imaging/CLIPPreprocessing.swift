import Foundation

/// How a picture becomes what CLIP's vision tower sees: `preprocessor_config.json`, transformers' CLIPImageProcessor on PIL.
public struct CLIPPreprocessing: Sendable {
  /// The shorter side after resizing, in pixels; nil where both sides are given.
  public var shortestEdge: Int?
  /// Width and height after resizing, whatever the picture's shape, where `shortestEdge` is nil.
  public var exactSize: (width: Int, height: Int)?
  /// Side of the square cut from the middle.
  public var crop: Int
  public var mean: [Double]
  public var deviation: [Double]

  /// CLIP's own, for a tower of pictures of `side` pixels.
  public init(side: Int = 224) {
    (shortestEdge, crop) = (side, side)
    mean = [0.48145466, 0.4578275, 0.40821073]
    deviation = [0.26862954, 0.26130258, 0.27577711]
  }

  /// - Throws: `InputError` for what CLIP's processor has and this one has not.
  public init(_ c: ConfigReader, side: Int) throws {
    self.init(side: side)
    if c.isObject("size") {
      let size = try c.object("size")
      if size.has("shortest_edge") {
        shortestEdge = try size.int("shortest_edge", side, in: 1...4096)
      } else {
        shortestEdge = nil
        exactSize = (try size.int("width", side, in: 1...4096), try size.int("height", side, in: 1...4096))
      }
    } else {
      shortestEdge = try c.int("size", side, in: 1...4096)
    }
    if c.isObject("crop_size") {
      let size = try c.object("crop_size")
      crop = try size.int("height", side, in: 1...4096)
      try size.refuse(unless: try size.int("width", side) == crop, "width", "the same as height")
    } else {
      crop = try c.int("crop_size", side, in: 1...4096)
    }
    mean = try c.doubles("image_mean") ?? mean
    deviation = try c.doubles("image_std") ?? deviation
    try c.refuse(unless: mean.count == 3, "image_mean", "3 numbers")
    try c.refuse(unless: deviation.count == 3 && deviation.allSatisfy { $0 > 0 }, "image_std", "3 numbers above 0")
    try c.refuse(unless: try c.int("resample", 3) == 3, "resample", "3 (bicubic)")
    for key in ["do_resize", "do_center_crop", "do_normalize", "do_rescale"] { try c.refuse(unless: try c.bool(key, true), key, "true") }
    try c.refuse(unless: abs(try c.double("rescale_factor", 1 / 255) - 1 / 255) < 1e-9, "rescale_factor", "1/255")
    try c.refuse(unless: crop == side, "crop_size", "\(side), the side of the pictures that the network sees")
  }

  /// `[n, crop, crop, 3]`
  public func callAsFunction(_ pictures: [Picture]) -> Tensor {
    var out = Tensor.zeros([pictures.count, crop, crop, 3])
    out.withUnsafeMutableBuffer { out in
      for (index, picture) in pictures.enumerated() {
        let resized = resized(picture)
        // Rounded down as numpy does; what lies outside of a smaller picture is black.
        let top = Int((Double(resized.height - crop) / 2).rounded(.down))
        let left = Int((Double(resized.width - crop) / 2).rounded(.down))
        for y in 0..<crop {
          for x in 0..<crop {
            let isInside = (0..<resized.height).contains(y + top) && (0..<resized.width).contains(x + left)
            for c in 0..<3 {
              let value = isInside ? Double(resized.pixels[3 * ((y + top) * resized.width + x + left) + c]) / 255 : 0
              out[((index * crop + y) * crop + x) * 3 + c] = Float((value - mean[c]) / deviation[c])
            }
          }
        }
      }
    }
    return out
  }

  private func resized(_ picture: Picture) -> Picture {
    if let exactSize { return picture.resized(width: exactSize.width, height: exactSize.height, filter: .bicubic) }
    let side = shortestEdge ?? crop
    let (short, long) = (min(picture.width, picture.height), max(picture.width, picture.height))
    let other = Int(Double(side) * Double(long) / Double(short))
    return picture.width <= picture.height
      ? picture.resized(width: side, height: other, filter: .bicubic) : picture.resized(width: other, height: side, filter: .bicubic)
  }
}
