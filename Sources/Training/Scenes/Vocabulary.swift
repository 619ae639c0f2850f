/// The things of the world. The order is that of the specification: everything that counts or lists things uses it.
public enum Noun: String, Codable, Sendable, CaseIterable {
  case circle, square, triangle, star, heart, tree, house, flower, boat, fish, balloon, mushroom, car, moon, cloud, cat

  /// Where a thing is at home: in the sky, on the ground, on the water, or anywhere.
  enum Home { case sky, ground, water, anywhere }

  var home: Home {
    switch self {
    case .star, .moon, .cloud, .balloon: .sky
    case .tree, .house, .flower, .car, .cat, .mushroom: .ground
    case .boat, .fish: .water
    case .circle, .square, .triangle, .heart: .anywhere
    }
  }

  /// Things that stand upright are not turned.
  var turns: Bool {
    switch self {
    case .circle, .square, .triangle, .star, .heart, .fish, .balloon, .moon, .boat: true
    case .tree, .house, .flower, .mushroom, .car, .cloud, .cat: false
    }
  }
}

/// The colours that an object can have.
public enum ObjectColour: String, Codable, Sendable, CaseIterable {
  case red, orange, yellow, green, blue, purple, pink, brown, white

  /// Red, green, blue, 0 to 1, before the object's jitter.
  var ink: Ink {
    switch self {
    case .red: Ink(0.902, 0.200, 0.200)
    case .orange: Ink(0.980, 0.545, 0.090)
    case .yellow: Ink(0.992, 0.847, 0.208)
    case .green: Ink(0.180, 0.640, 0.300)
    case .blue: Ink(0.125, 0.440, 0.900)
    case .purple: Ink(0.560, 0.270, 0.790)
    case .pink: Ink(0.980, 0.530, 0.730)
    case .brown: Ink(0.550, 0.345, 0.220)
    case .white: Ink(0.985, 0.985, 0.985)
    }
  }
}

public enum Setting: String, Codable, Sendable, CaseIterable {
  case meadow, night, sea, snow, desert, plain
}

/// The colours of a plain background.
public enum PlainColour: String, Codable, Sendable, CaseIterable {
  case white, grey, pink, yellow, blue, green

  var ink: Ink {
    switch self {
    case .white: Ink(0.955, 0.955, 0.945)
    case .grey: Ink(0.720, 0.730, 0.745)
    case .pink: Ink(0.985, 0.835, 0.885)
    case .yellow: Ink(1.0, 0.945, 0.715)
    case .blue: Ink(0.790, 0.885, 0.985)
    case .green: Ink(0.815, 0.935, 0.800)
    }
  }
}

/// Medium is never named in a caption.
public enum ObjectSize: String, Codable, Sendable, CaseIterable {
  case small, medium, large

  /// Bounds of an object's radius in 1/64 of the picture's side: alone, objects are larger than in pairs.
  func radii(alone: Bool) -> ClosedRange<Double> {
    switch (self, alone) {
    case (.small, true): 11...13.5
    case (.medium, true): 15.5...19
    case (.large, true): 22...26
    case (.small, false): 8.5...10
    case (.medium, false): 11...13
    case (.large, false): 14...16
    }
  }
}

/// How the first object of two stands to the second.
public enum Relation: String, Codable, Sendable, CaseIterable {
  case left, right, above, below, next, and

  /// The same arrangement, told from the second object.
  public var inverse: Relation {
    switch self {
    case .left: .right
    case .right: .left
    case .above: .below
    case .below: .above
    case .next, .and: self
    }
  }
}
