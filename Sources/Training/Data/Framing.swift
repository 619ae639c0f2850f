import Engine

/// How pictures of any size become pictures of one size: the longer side is cut, nothing is distorted.
public struct Framing: Sendable, Equatable {
  public enum Crop: String, Sendable, CaseIterable {
    /// The middle.
    case centre
    /// Anywhere, anew each epoch. A thing that a caption puts to the left may be cut off.
    case random
  }

  public let width: Int
  public let height: Int
  public let crop: Crop
  public let filter: Picture.Filter

  /// - Parameters: width, height: 1 to 65535 pixels.
  public init(width: Int, height: Int, crop: Crop = .centre, filter: Picture.Filter = .lanczos) {
    precondition((1...Picture.maximumSide).contains(width) && (1...Picture.maximumSide).contains(height), "\(width) x \(height)")
    self.width = width
    self.height = height
    self.crop = crop
    self.filter = filter
  }

  /// How many pictures an autoencoder is given at a time: about the work of sixteen small ones; more only take more memory.
  public var picturesAtOnce: Int { max(1, 16 * 64 * 64 / (width * height)) }

  /// The middle of a picture, whatever `crop` says.
  func centre(_ picture: Picture) -> Picture {
    var none = NumPyRandom(seed: 0)
    return Framing(width: width, height: height, filter: filter).apply(picture, &none)
  }

  /// Resized so that it just covers the frame, then cut.
  func apply(_ picture: Picture, _ random: inout NumPyRandom) -> Picture {
    let scale = max(Double(width) / Double(picture.width), Double(height) / Double(picture.height))
    let w = max(width, Int((Double(picture.width) * scale).rounded()))
    let h = max(height, Int((Double(picture.height) * scale).rounded()))
    let resized = w == picture.width && h == picture.height ? picture : picture.resized(width: w, height: h, filter: filter)
    if w == width, h == height { return resized }
    switch crop {
    case .centre: return resized.cropped(x: (w - width) / 2, y: (h - height) / 2, width: width, height: height)
    case .random:
      return resized.cropped(x: random.below(w - width + 1), y: random.below(h - height + 1), width: width, height: height)
    }
  }
}

extension Picture {
  /// The part whose upper left corner is (x, y); it must lie inside.
  func cropped(x: Int, y: Int, width newWidth: Int, height newHeight: Int) -> Picture {
    precondition(x >= 0 && y >= 0 && x + newWidth <= width && y + newHeight <= height, "crop beyond \(width) x \(height)")
    var out: [UInt8] = []
    out.reserveCapacity(3 * newWidth * newHeight)
    for row in y..<y + newHeight {
      let start = 3 * (row * width + x)
      out += pixels[start..<start + 3 * newWidth]
    }
    return Picture(width: newWidth, height: newHeight, pixels: out)
  }
}
