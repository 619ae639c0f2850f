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
    let covering = covering(picture)
    return covering.cropped(x: (covering.width - width) / 2, y: (covering.height - height) / 2, width: width, height: height)
  }

  /// Resized so that it just covers the frame, then cut.
  func apply(_ picture: Picture, _ random: inout NumPyRandom) -> Picture {
    guard crop == .random else { return centre(picture) }
    let covering = covering(picture)
    if covering.width == width, covering.height == height { return covering }
    return covering.cropped(
      x: random.below(covering.width - width + 1), y: random.below(covering.height - height + 1), width: width, height: height)
  }

  /// No side is shorter than the frame's, one is as long.
  private func covering(_ picture: Picture) -> Picture {
    let scale = max(Double(width) / Double(picture.width), Double(height) / Double(picture.height))
    let w = max(width, Int((Double(picture.width) * scale).rounded()))
    let h = max(height, Int((Double(picture.height) * scale).rounded()))
    return w == picture.width && h == picture.height ? picture : picture.resized(width: w, height: h, filter: filter)
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
