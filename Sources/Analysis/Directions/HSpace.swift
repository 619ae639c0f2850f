import Engine

/// h-space (Kwon et al., ICLR 2023) of many pictures: what the UNet's middle block answers at every step, told the prompt.
public struct HSpace: Sendable {
  public static let site = "unet.mid_block.out"

  /// Timesteps of the run's steps.
  public let timesteps: [Double]
  /// Height, width and channels of h.
  public let shape: [Int]
  /// For each step the pictures' h, a row a picture: `[n, h * w * c]`, channels last.
  public let steps: [Points]
  /// Number of pictures.
  public var count: Int { steps.first?.count ?? 0 }

  /// - Parameter steps: as many as timesteps, each of as many points, of h * w * c coordinates.
  public init(timesteps: [Double], shape: [Int], steps: [Points]) {
    precondition(timesteps.count == steps.count && !steps.isEmpty, "\(timesteps.count) timesteps, \(steps.count) steps")
    precondition(steps.allSatisfy { $0.count == steps[0].count && $0.dimension == shape.reduce(1, *) }, "points are not of \(shape)")
    (self.timesteps, self.shape, self.steps) = (timesteps, shape, steps)
  }

  /// Reads it from runs that captured the site whole; their pictures stand one run behind the other. Where a step asks the network several times, the
  /// first counts.
  /// - Throws: `InputError` when a run has not kept it, is of another model, size or plan than the first, or holds numbers that are not finite.
  public init(_ runs: [RunFolder]) throws {
    guard let first = runs.first else { throw InputError(.usage, "h-space of no runs", hint: "name at least one") }
    let timesteps = first.manifest.timesteps
    var shape: [Int] = []
    var rows = [[[Float]]](repeating: [], count: timesteps.count)
    for run in runs {
      let name = run.url.relativePath
      guard run.manifest.modelSha256 == first.manifest.modelSha256 else {
        throw InputError(.badData, "\(name): made by another model than \(first.url.relativePath)", hint: "directions are of one model")
      }
      guard run.manifest.timesteps == timesteps else {
        throw InputError(
          .badData,
          "\(name): \(run.manifest.timesteps.count) steps at other timesteps than the \(timesteps.count) of \(first.url.relativePath)",
          hint: "make the runs with one sampler and number of steps")
      }
      guard run.manifest.latentSize == first.manifest.latentSize else {
        throw InputError(.badData, "\(name): pictures of another size than \(first.url.relativePath)'s", hint: "make the runs in one size")
      }
      var seen: Set<Int> = []
      try run.replay(Self.site) { _, moment, h in
        guard timesteps.indices.contains(moment.step), seen.insert(moment.step).inserted else { return nil }
        shape = Array(h.shape.dimensions.dropFirst())
        let size = shape.reduce(1, *)
        let values = h.array
        for (row, label) in moment.rows.enumerated() where label.half == .cond {
          rows[moment.step].append(Array(values[row * size..<(row + 1) * size]))
        }
        return nil
      }
      guard seen.count == timesteps.count else {
        throw InputError(
          .badData, "\(name): kept \(Self.site) at \(seen.count) of \(timesteps.count) steps", hint: "make it again without --at-steps")
      }
    }
    let points = try zip(timesteps, rows).map { t, rows in try Points(rows, name: "h at timestep \(Int(t))") }
    guard points.allSatisfy({ $0.count == points[0].count && $0.dimension == shape.reduce(1, *) }) else {
      throw InputError(.badData, "the runs have not kept \(Self.site) for the same pictures at every step")
    }
    self.init(timesteps: timesteps, shape: shape, steps: points)
  }

  /// Some of the pictures.
  public func pictures(_ indices: [Int]) -> HSpace {
    HSpace(
      timesteps: timesteps, shape: shape,
      steps: steps.map { p in Points(unchecked: indices.flatMap { p[$0] }, count: indices.count, dimension: p.dimension) })
  }
}
