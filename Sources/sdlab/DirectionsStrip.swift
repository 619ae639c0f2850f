import Analysis
import Engine
import Foundation
import Plots

/// One picture with each direction at each strength.
struct DirectionsStrip {
  /// For each direction and strength.
  let folders: [[RunFolder]]
  let pictures: [[Picture]]
  /// Distance from the unchanged picture (`PictureDistance`), for each direction and strength.
  let distances: [[Double]]
  let strengths: [Double]

  init(_ verb: Directions, _ base: PictureRun, _ directions: HDirections, strengths: [Double]) throws {
    var parameters = base.parameters
    (parameters.count, parameters.batch) = (1, nil)
    let run = try PictureRun(
      base.model, parameters, RunInputs(initImage: nil, mask: nil, initLatents: nil), report: ReportOptions.quietly(verb.report))
    let steps = try run.indices().count
    let edited = try verb.atSteps.map { try StepSelection($0, total: steps).steps }
    var bar = ProgressBar("changing", total: steps * (1 + directions.count * strengths.count), quiet: verb.report.quiet)
    func traced(_ intervention: Tracer.Intervention) throws -> RunFolder {
      var done = 0
      return try run.trace(verb.runs.store, [], intervention: intervention, again: verb.runs.again) { step, _ in
        bar.advance(by: step - done)
        done = step
      }
    }
    let plain = try traced(.init())
    let unchanged = try plain.picture(0)
    folders = try (0..<directions.count).map { k in
      try strengths.map { strength in
        if strength == 0 { return plain }
        return try traced(
          HEdit(directions, k, strength: strength, rule: verb.rule, rows: verb.rows, steps: edited).intervention())
      }
    }
    pictures = try folders.map { try $0.map { try $0.picture(0) } }
    distances = try pictures.map { try $0.map { try PictureDistance.between($0, unchanged) } }
    self.strengths = strengths
  }

  func figure(_ verb: Directions, _ plan: DirectionsPlan, _ found: DirectionsFound) throws -> Figure {
    let images = try pictures.map { try $0.map { try RGBImage($0) as RGBImage? } }
    let names = found.directions.names.indices.map { k in
      found.explained.isEmpty ? found.directions.names[k] : "\(found.directions.names[k]), \(decimal(100 * mean(found.explained[k]), 0)) %"
    }
    let rows = verb.rows == .all ? ", all rows" : ""
    let steps = verb.atSteps.map { ", steps \($0)" } ?? ""
    return Figure(
      title: "\"\(plan.prompt)\"", subtitle: "\(plan.kind), \(verb.rule.rawValue)\(rows)\(steps)",
      note: found.explained.isEmpty
        ? "Strength 0 is the unchanged picture."
        : "Strength 0 is the unchanged picture, 1 a standard deviation. Percent: share of the variance of h, mean over the steps.",
      columns: 1, width: Double(max(3, strengths.count)) * 112 + 110,
      panels: [
        .pictures(
          images: images, columnName: "strength",
          columns: strengths.map { ($0 == $0.rounded() ? decimal($0, 0) : "\($0)").replacing("-", with: "−") }, rows: names)
      ])
  }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
}
