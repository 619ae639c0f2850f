/// Where objects stand: at home in their setting, and in their relation.
extension Scene {
  mutating func place(_ random: inout NumPyRandom) {
    if objects.count == 1 {
      objects[0].x = freeX(objects[0], &random)
      objects[0].y = homeY(objects[0], &random)
      return
    }
    let relation = random.pick([
      (Relation.left, 0.2), (.right, 0.2), (.above, 0.2), (.below, 0.2), (.next, 0.1), (.and, 0.1),
    ])
    self.relation = relation
    // Not every pair of sizes fits into every relation; then the last attempt stays as it is.
    for _ in 0..<400 {
      attempt(relation, &random)
      if fits(relation) { return }
    }
  }

  /// A centre from one edge to the other.
  private func freeX(_ o: Object, _ random: inout NumPyRandom) -> Double { random.uniform(o.r + 1, Self.side - 1 - o.r) }

  /// A height that suits the thing in this setting; anywhere in one of five scenes and before a plain background.
  private func homeY(_ o: Object, _ random: inout NumPyRandom) -> Double {
    let (top, bottom) = (o.r + 2, Self.side - 2 - o.r)
    let y: Double
    if setting == .plain || random.isTrue(0.2) || o.noun.home == .anywhere {
      y = random.uniform(top, bottom)
    } else if o.noun.home == .sky {
      y = random.uniform(top, max(top, 30))
    } else if o.noun.home == .water, setting == .sea {
      // A boat stands out of the water, a fish swims in it.
      y = random.uniform(horizon, horizon + 10) + (o.noun == .boat ? -0.5 : 0.1) * o.r
    } else {
      y = random.uniform(max(horizon + 4, 44), 61) - o.r
    }
    return min(max(y, top), bottom)
  }

  private mutating func attempt(_ relation: Relation, _ random: inout NumPyRandom) {
    for i in 0..<2 { objects[i].x = freeX(objects[i], &random) }
    let (ra, rb) = (objects[0].r, objects[1].r)
    var ya = homeY(objects[0], &random)
    var yb = homeY(objects[1], &random)
    switch relation {
    case .left, .right, .next:
      // A common ground, a little uneven.
      let ground = min(max(random.isTrue(0.5) ? ya + ra : yb + rb, 2 * ra, 2 * rb), Self.side - 2)
      ya = ground - ra + random.uniform(-3, 3)
      yb = ground - rb + random.uniform(-3, 3)
    case .above, .below:
      let (upper, lower) = relation == .above ? (ra, rb) : (rb, ra)
      let low = min(random.uniform(max(2 * upper + 2, 34), 62) - 0.2 * lower, Self.side - 2 - lower)
      let high = max(low - (upper + lower) * random.uniform(0.95, 1.45), upper + 1)
      (ya, yb) = relation == .above ? (high, low) : (low, high)
    case .and: break
    }
    objects[0].y = min(max(ya, ra + 1), Self.side - 1 - ra)
    objects[1].y = min(max(yb, rb + 1), Self.side - 1 - rb)
  }

  /// The relation can be seen, and neither object hides the other.
  private func fits(_ relation: Relation) -> Bool {
    let (a, b) = (objects[0], objects[1])
    let dx = b.x - a.x
    let dy = b.y - a.y
    let distance = (dx * dx + dy * dy).squareRoot()
    let reach = a.r + b.r
    let isApart = distance > 0.92 * reach
    switch relation {
    case .left: return isApart && dx > 0.8075 * reach
    case .right: return isApart && -dx > 0.8075 * reach
    case .above, .below: return abs(dx) < 9 && distance > 0.72 * reach && (dy > 0) == (relation == .above)
    case .next: return isApart && distance < 1.25 * reach
    case .and: return isApart
    }
  }
}
