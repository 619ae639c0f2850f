/// One picture of the scenes world before it is drawn: all that decides its pixels, and with them its masks and captions.
///
/// Lengths are in a world of 64 x 64 units, whatever the size of the picture; y points down. The JSON has the names of the reference scenes
/// (`scenes.jsonl`), so that their lines can be read and drawn anew.
public struct Scene: Codable, Sendable, Equatable {
  /// Side of the world.
  public static let side = 64.0

  public struct Object: Codable, Sendable, Equatable {
    public var noun: Noun
    public var colour: ObjectColour
    public var size: ObjectSize
    /// Radius: the drawing fills about this much to every side of the centre.
    public var r: Double
    /// Radians, clockwise; only things that `turns` are turned by it.
    public var rot: Double
    /// Mirrored.
    public var flip: Bool
    /// Added to red, green and blue (0 to 1), but not to white.
    public var jit: [Double]
    /// The centre.
    public var x: Double
    public var y: Double
  }

  public var setting: Setting
  /// The background's colour, in the setting `plain` only.
  public var plain: PlainColour?
  public var horizon: Double
  /// Seed of what is random in the background: hills, stars, waves, flakes.
  public var bgseed: UInt64
  /// How the first of two objects stands to the second; nil when there is one.
  public var relation: Relation?
  /// One or two.
  public var objects: [Object]

  private enum CodingKeys: CodingKey { case setting, plain, horizon, bgseed, relation, objects }

  /// Absent values are written as null, as in the reference scenes.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(setting, forKey: .setting)
    try values.encode(plain, forKey: .plain)
    try values.encode(horizon, forKey: .horizon)
    try values.encode(bgseed, forKey: .bgseed)
    try values.encode(relation, forKey: .relation)
    try values.encode(objects, forKey: .objects)
  }
}
