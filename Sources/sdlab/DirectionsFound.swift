import Analysis
import Engine
import Foundation
import Plots

/// Directions and what is known about them.
struct DirectionsFound {
  let directions: HDirections
  /// For principal components: share of each step's variance along each direction.
  var explained: [[Double]] = []
  /// For two sets: the probe of each step.
  var probes: [LinearProbe] = []
  /// Pictures they were made of.
  var count = 0
}

extension DirectionsPlan {
  /// The run whose picture is changed, its model loaded and everything checked.
  func prepare(_ verb: Directions) throws -> (run: PictureRun, load: Double) {
    let p = verb.picture
    guard p.count == nil else { throw InputError(.usage, "--count: the number of pictures is --samples") }
    guard p.initImage == nil, p.mask == nil, p.initLatents == nil else {
      throw InputError(
        .usage, "directions are of pictures that begin with drawn noise", hint: "leave --init-image, --mask and --init-latents out")
    }
    let prepared: (run: PictureRun, load: Double)
    if case .runs(let names) = source {
      let folder = try verb.runs.store.open(names[0])
      let loading = ContinuousClock.now
      let model = try ModelOptions.load(folder.source(verb.model, quiet: verb.report.quiet), verb.report)
      var parameters = folder.manifest.spec.parameters
      guard parameters.initImage == nil, parameters.initLatents == nil, folder.manifest.spec.intervention.isEmpty else {
        throw InputError(.usage, "\(folder.url.relativePath): not a plain run from drawn noise", hint: "name such a run first")
      }
      (parameters.count, parameters.index, parameters.batch) = (1, 0, nil)
      let run = try PictureRun(model, parameters, RunInputs(initImage: nil, mask: nil, initLatents: nil), report: verb.report)
      prepared = (run, seconds(.now - loading))
    } else {
      var sampling = verb.sampling
      sampling.chosenSampler = sampling.chosenSampler ?? .ddim
      sampling.chosenSteps = sampling.chosenSteps ?? 20
      prepared = try PictureRun.prepare(prompt, verb.model, sampling, verb.picture, verb.report)
    }
    let request = prepared.run.request
    guard verb.rule == .symmetric || request.sampler == .ddim else {
      throw InputError(
        .usage, "--rule asyrp changes the predicted x0 of ddim's steps, not of \(request.sampler.rawValue)'s",
        hint: "take --sampler ddim, or --rule symmetric")
    }
    if verb.rows == .all, request.usesGuidance {
      verb.report.warn("--rows all with guidance: what is added to both halves cancels out for the most part")
    }
    _ = try editedSteps(verb, prepared.run)
    return prepared
  }

  func editedSteps(_ verb: Directions, _ run: PictureRun) throws -> [Int]? {
    try verb.atSteps.map { try StepSelection($0, total: run.indices().count).steps }
  }

  func directions(_ verb: Directions, _ base: PictureRun) throws -> DirectionsFound {
    switch source {
    case .file(let path):
      let plan = try base.request.sampler.sampler(
        base.model.source.schedulerConfig, steps: base.request.steps, options: base.request.samplerOptions
      ).plan
      let shape = try base.plan([CaptureSpec(HSpace.site)]).entries[0].shape
      return DirectionsFound(
        directions: try DirectionsArray.read(URL(fileURLWithPath: path), timesteps: plan.timesteps, shape: Array(shape.suffix(3))))
    case .runs(let names):
      let h = try HSpace(names.map { try verb.runs.store.open($0) })
      return try principal(h, verb)
    case .principal(let prompt):
      let seeds = (0..<verb.samples).map { (prompt: prompt, seed: base.request.seed &+ UInt64($0)) }
      return try principal(HSpace(made(verb, base, [seeds])), verb)
    case .pair(let from, let to):
      let sets = [from, to].map { prompt in (0..<verb.samples).map { (prompt: prompt, seed: base.request.seed &+ UInt64($0)) } }
      return try contrasted(HSpace(made(verb, base, sets)), (0..<2 * verb.samples).map { $0 >= verb.samples }, verb)
    case .labelled(let lines):
      let h = try HSpace(made(verb, base, lines.map { [(prompt: $0.prompt, seed: $0.seed)] }))
      return try contrasted(h, lines.map { $0.label == sets?.1 }, verb)
    }
  }

  private func principal(_ h: HSpace, _ verb: Directions) throws -> DirectionsFound {
    let found = try PrincipalDirections(h, count: verb.components)
    return DirectionsFound(
      directions: found.directions, explained: (0..<verb.components).map { found.explained($0) }, count: h.count)
  }

  private func contrasted(_ h: HSpace, _ labels: [Bool], _ verb: Directions) throws -> DirectionsFound {
    func side(_ wanted: Bool) -> HSpace { h.pictures(labels.indices.filter { labels[$0] == wanted }) }
    let name = "\(sets?.0 ?? "") → \(sets?.1 ?? "")"
    return DirectionsFound(
      directions: try HDirections.difference(from: side(false), to: side(true), name: name),
      probes: try h.steps.map { try LinearProbe($0, labels: labels, folds: verb.folds) }, count: h.count)
  }

  /// Runs of the pictures, each set in runs of as many images as go through the network at once.
  private func made(_ verb: Directions, _ base: PictureRun, _ sets: [[(prompt: String, seed: UInt64)]]) throws -> [RunFolder] {
    let none = try RunInputs(initImage: nil, mask: nil, initLatents: nil)
    var runs: [PictureRun] = []
    for set in sets {
      var p = base.parameters
      (p.prompt, p.count, p.batch) = (set[0].prompt, set.count, verb.picture.batch)
      let batch = try PictureRun(base.model, p, none, report: ReportOptions.quietly(verb.report)).batch
      for start in stride(from: 0, to: set.count, by: batch) {
        (p.seed, p.count, p.batch) = (set[start].seed, min(batch, set.count - start), nil)
        runs.append(try PictureRun(base.model, p, none, report: ReportOptions.quietly(verb.report)))
      }
    }
    let steps = try base.indices().count
    var bar = ProgressBar("sampling", total: runs.count * steps, quiet: verb.report.quiet)
    return try runs.map { run in
      var done = 0
      return try run.trace(verb.runs.store, [CaptureSpec(HSpace.site)], again: verb.runs.again) { step, _ in
        bar.advance(by: step - done)
        done = step
      }
    }
  }
}

extension DirectionsFound {
  /// What is known, over the steps.
  func figure(_ plan: DirectionsPlan) -> Figure {
    let t = directions.timesteps
    let x = Axis.linear("timestep", reversed: true)
    var panels: [Panel] = []
    if !explained.isEmpty {
      panels.append(
        Panel(
          "variance along each component", x: x, y: .linear("share of the step's variance", unit: "%", zero: true),
          marks: explained.indices.map { .line(t, explained[$0].map { 100 * $0 }, label: directions.names[$0], dots: true) }))
    }
    if let first = probes.first {
      panels.append(
        Panel(
          "a straight cut through h", x: x, y: .linear("pictures told apart", unit: "%"),
          marks: [
            .line(t, probes.map { 100 * $0.accuracy }, label: "held out", dots: true),
            .line(
              t, probes.map { 100 * $0.shuffledMean }, label: "shuffled labels, mean of \(first.shuffles)"),
            .line(t, probes.map { 100 * $0.shuffledHighest }, label: "highest of them", dashed: true),
            .reference(y: 100 * first.chance, label: "chance"),
          ]))
    }
    panels.append(
      Panel(
        "the same direction from step to step", x: x, y: .linear("cosine with the step before"),
        marks: (0..<directions.count).map {
          .line(Array(t.dropFirst()), directions.continuity($0), label: directions.names[$0], dots: true)
        }))
    return Figure(
      title: "Directions in h-space", subtitle: "\(plan.kind), \(count) pictures, \(t.count) steps",
      note: probes.isEmpty
        ? "Variance is not meaning: a component may be anything that differs between pictures."
        : "Held out: \(probes[0].folds) folds. That a cut tells two sets apart does not say that the network uses it.",
      columns: 2, width: 760, panels: panels)
  }
}
