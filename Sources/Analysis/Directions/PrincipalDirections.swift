import Engine

/// Principal components of h at every step (Haas et al., FG 2024), as directions that keep their meaning from step to step.
///
/// Each step has a PCA of its own: centred, in double, through the products of the pictures with each other where these are fewer than coordinates; the loading of
/// largest magnitude is positive. A component's number and sign mean nothing across steps: neighbouring steps are therefore aligned, by pairing their components
/// greedily by |cosine| and turning signs, starting from the first step.
public struct PrincipalDirections: Sendable {
  /// PCA of each step, not aligned.
  public let steps: [PCA]
  /// For each direction and step the component's number there.
  public let component: [[Int]]
  /// For each direction and step whether the component is turned around.
  public let isTurned: [[Bool]]
  /// For each direction and step: the component times its standard deviation, so that strength 1 is one deviation.
  public let directions: HDirections

  /// - Parameter count: number of directions; at most pictures less one, for centring takes one.
  /// - Throws: `InputError` (usage) for another number.
  public init(_ h: HSpace, count: Int) throws {
    let most = min(h.count - 1, h.shape.reduce(1, *))
    guard (1...max(1, most)).contains(count), most >= 1 else {
      throw InputError(
        .usage, "\(count) components of \(h.count) pictures: expected 1 to \(max(0, most))", hint: "ask for fewer, or give more pictures")
    }
    let steps = try h.steps.map { try PCA($0, components: count) }
    var component = [Array(0..<count)]
    var isTurned = [[Bool](repeating: false, count: count)]
    for (before, now) in zip(steps, steps.dropFirst()) {
      let (numbers, signs) = (component[component.count - 1], isTurned[isTurned.count - 1])
      let cosines = numbers.map { a in
        now.components.map { b in zip(before.components[a], b).reduce(0) { $0 + $1.0 * $1.1 } }
      }
      let pairs = Self.paired(cosines)
      component.append(pairs)
      isTurned.append(pairs.indices.map { (cosines[$0][pairs[$0]] < 0) != signs[$0] })
    }
    let values = (0..<count).map { j in
      steps.indices.map { s -> [Float] in
        let number = component[s][j]
        let scale = steps[s].explainedVariance[number].squareRoot() * (isTurned[s][j] ? -1 : 1)
        return steps[s].components[number].map { Float(scale * $0) }
      }
    }
    self.steps = steps
    self.component = (0..<count).map { j in component.map { $0[j] } }
    self.isTurned = (0..<count).map { j in isTurned.map { $0[j] } }
    directions = HDirections(
      names: (0..<count).map { "component \($0 + 1)" }, timesteps: h.timesteps, shape: h.shape, values: values)
  }

  /// Share of the variance of each step along a direction.
  public func explained(_ direction: Int) -> [Double] {
    steps.indices.map { steps[$0].explainedVarianceRatio[component[direction][$0]] }
  }

  /// For each row a column of its own: the largest |value| of all first, and so on.
  static func paired(_ cosines: [[Double]]) -> [Int] {
    var pairs = [Int](repeating: 0, count: cosines.count)
    var (rows, columns) = (Set(cosines.indices), Set(cosines.indices))
    while !rows.isEmpty {
      var best = (row: 0, column: 0, value: -1.0)
      for r in rows.sorted() { for c in columns.sorted() where abs(cosines[r][c]) > best.value { best = (r, c, abs(cosines[r][c])) } }
      pairs[best.row] = best.column
      rows.remove(best.row)
      columns.remove(best.column)
    }
    return pairs
  }
}
