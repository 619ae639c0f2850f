import Engine

/// A picture of which is known where each thing is.
public struct LabelledPicture: Sendable {
  public struct Object: Sendable {
    /// The word of the prompt that names it.
    public let word: String
    /// Such as `small`: results are told apart by it.
    public let size: String
    /// Where it is, at the latents' size, row-major.
    public let mask: [Bool]

    public init(word: String, size: String, mask: [Bool]) {
      self.word = word
      self.size = size
      self.mask = mask
    }

    /// - Parameters:
    ///   - cover: how much of each pixel it covers, 0...255, `[side, side]`.
    ///   - size: of the mask; its sides divide the picture's. A place belongs to the object when it covers more than half of it.
    public static func mask(cover: [UInt8], side: Int, size: MapSize) -> [Bool] {
      precondition(cover.count == side * side && side % size.height == 0 && side % size.width == 0, "\(cover.count) of \(side), \(size)")
      let (h, w) = (side / size.height, side / size.width)
      return (0..<size.count).map { place in
        let (y, x) = (place / size.width * h, place % size.width * w)
        var sum = 0
        for row in y..<y + h { for column in x..<x + w { sum += Int(cover[row * side + column]) } }
        return 2 * sum > 255 * h * w
      }
    }
  }

  public let prompt: String
  public let picture: Picture
  public let objects: [Object]

  public init(prompt: String, picture: Picture, objects: [Object]) {
    self.prompt = prompt
    self.picture = picture
    self.objects = objects
  }
}
