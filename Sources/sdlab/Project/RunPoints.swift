import Analysis
import Engine
import Foundation

/// Which tensors of a run become points.
struct RunPoints {
  /// A captured site's path, `latents` or `predicted_original` for those of every step; nil for the final latents.
  let site: String?
  /// Steps that are taken, as typed; nil for all.
  let steps: String?
  let rows: CaptureSpec.Rows

  private struct Row {
    let image: Int
    let half: String
  }

  /// One point an image, step and half of the guidance, as far as these are there.
  /// - Throws: `InputError` when the run did not capture the site, with near misses.
  func read(_ run: RunFolder) throws -> LabelledPoints {
    switch site {
    case nil:
      guard steps == nil else {
        throw InputError(.usage, "--at-steps: the final latents have no steps", hint: "give --site latents for those of every step")
      }
      let values = try run.storedTensor("latents.safetensors", "latents").flattened().float32()
      return try labelled(run, [values], steps: nil, rows: images(values.shape[0]))
    case "latents":
      // The first entry is the noise before the first step.
      let chosen = try chosenSteps(run)
      let stored = try run.storedTensor("trajectory.safetensors", "latents")
      return try labelled(run, chosen.map { try stored.entry($0 + 1).flattened().float32() }, steps: chosen, rows: nil)
    case "predicted_original":
      let chosen = try chosenSteps(run)
      let stored = try run.storedTensor("trajectory.safetensors", "predicted_original")
      return try labelled(run, chosen.map { try stored.entry($0).flattened().float32() }, steps: chosen, rows: nil)
    case let site?:
      return try captured(site, run)
    }
  }

  private func captured(_ site: String, _ run: RunFolder) throws -> LabelledPoints {
    let captures = run.manifest.captures
    guard let capture = captures.first(where: { $0.site == site }) else {
      let names = Set(captures.map(\.site)).union(["latents", "predicted_original"])
      let near = EditDistance.nearest(to: site, among: names, count: 3)
      throw InputError(
        .usage, "\(run.url.relativePath): the run has not captured '\(site)'",
        hint: near.isEmpty ? "`sdlab trace --sites '\(site)'` captures it" : "did you mean \(near.joined(separator: ", "))?")
    }
    let wanted = Set(try chosenSteps(run))
    let kept = capture.rows.indices.filter { rows == .all || capture.rows[$0].half == rows.rawValue }
    guard !kept.isEmpty else {
      throw InputError(.usage, "\(run.url.relativePath): no \(rows.rawValue) rows of \(site) were kept", hint: "give --rows")
    }
    let stored = try run.storedTensor(capture.file, "values")
    var (tensors, steps): ([Tensor], [Int]) = ([], [])
    for (entry, call) in capture.calls.enumerated() where run.manifest.calls.indices.contains(call) {
      guard wanted.contains(run.manifest.calls[call].step) else { continue }
      let values = try stored.entry(entry).flattened().float32()
      tensors.append(.concatenated(kept.map { values.slice($0..<$0 + 1) }))
      steps.append(run.manifest.calls[call].step)
    }
    guard !tensors.isEmpty else {
      throw InputError(.usage, "\(run.url.relativePath): \(site) was captured at none of the steps \(self.steps ?? "")")
    }
    return try labelled(run, tensors, steps: steps, rows: kept.map { Row(image: capture.rows[$0].image, half: capture.rows[$0].half) })
  }

  private func chosenSteps(_ run: RunFolder) throws -> [Int] {
    let total = run.manifest.timesteps.count
    return try steps.map { try StepSelection($0, total: total).steps } ?? Array(0..<total)
  }

  private func images(_ count: Int) -> [Row] { (0..<count).map { Row(image: $0, half: "cond") } }

  /// - Parameters:
  ///   - tensors: `[rows, coordinates]`, one a step.
  ///   - steps: the step of each; nil for the final latents.
  ///   - rows: what the rows are; nil for one an image.
  private func labelled(_ run: RunFolder, _ tensors: [Tensor], steps: [Int]?, rows: [Row]?) throws -> LabelledPoints {
    let p = run.manifest.spec.parameters
    let rows = rows ?? images(tensors.first?.shape[0] ?? 0)
    let dimension = tensors.first.map { $0.shape.count / max(1, $0.shape[0]) } ?? 0
    let places = tensors.indices.flatMap { t in rows.map { (step: steps?[t], row: $0) } }
    var columns: [LabelledPoints.Column] = []
    func add(_ name: String, _ value: ((step: Int?, row: Row)) -> String) {
      columns.append(.init(name: name, values: places.map(value)))
    }
    add("prompt") { _ in p.prompt }
    add("seed") { String(p.seed &+ UInt64($0.row.image)) }
    if steps != nil {
      add("step") { $0.step.map(String.init) ?? "" }
      add("timestep") { place in place.step.map { decimal(run.manifest.timesteps[$0], 0) } ?? "" }
    }
    if Set(rows.map(\.half)).count > 1 { add("half") { $0.row.half } }
    add("image") { String($0.row.image) }
    add("run") { _ in run.manifest.id }
    let pictures = try Dictionary(uniqueKeysWithValues: Set(rows.map(\.image)).map { ($0, try run.picture($0)) })
    return LabelledPoints(
      points: try Points(
        tensors.flatMap(\.array), count: places.count, dimension: dimension, name: "\(run.url.relativePath): \(site ?? "latents")"),
      columns: columns, pictures: places.compactMap { pictures[$0.row.image] })
  }
}
