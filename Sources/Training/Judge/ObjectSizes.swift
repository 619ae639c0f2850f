extension Noun {
  /// The radius, in units of the world, of a thing that fills this share of the picture, all of it visible.
  ///
  /// The root of the area grows with the radius on a straight line, whose offset is the outline's width. The lines are fits to rendered masks; a test draws them anew.
  func radius(filling share: Double) -> Double {
    let (slope, offset) = areaLine
    return max(0, ((share * Scene.side * Scene.side).squareRoot() - offset) / slope)
  }

  /// sqrt(area) = slope * radius + offset, in units of the world.
  private var areaLine: (slope: Double, offset: Double) {
    switch self {
    case .circle: (1.633, 0.93)
    case .square: (1.682, 1.10)
    case .triangle: (1.307, 1.21)
    case .star: (1.178, 1.61)
    case .heart: (1.559, 1.12)
    case .tree: (1.417, 2.21)
    case .house: (1.548, 1.22)
    case .flower: (1.232, 2.38)
    case .boat: (1.267, 2.03)
    case .fish: (1.237, 1.38)
    case .balloon: (1.222, 1.32)
    case .mushroom: (1.478, 1.25)
    case .car: (1.291, 0.78)
    case .moon: (1.149, 1.72)
    case .cloud: (1.278, 2.33)
    case .cat: (1.592, 1.30)
    }
  }
}

extension ObjectSize {
  /// The size whose range of radii is nearest.
  init(radius: Double, alone: Bool) {
    let radii = ObjectSize.allCases.map { $0.radii(alone: alone) }
    let bounds = zip(radii, radii.dropFirst()).map { ($0.upperBound + $1.lowerBound) / 2 }
    self = radius < bounds[0] ? .small : radius < bounds[1] ? .medium : .large
  }
}
