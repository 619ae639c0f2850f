import Analysis
import ArgumentParser
import Engine
import Foundation

struct Reference: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compute where the reference scenes lie in the model that comes with the program.",
    discussion: """
      Writes latents, h-space and text embeddings of the 1,024 scenes, with the model's digest. `explore` reads them; they are made again when the \
      model changes: sdlab reference -f -o Resources/scenes-reference/features.safetensors
      """)

  @Option(
    name: [.customLong("output"), .short], help: ArgumentHelp("The safetensors file to write.", valueName: "file.safetensors"))
  var output = "features.safetensors"
  @Flag(name: [.long, .short], help: "Overwrite a file that is there.") var force = false
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let url = URL(fileURLWithPath: output)
    try OutputFile.check([url], force: force)
    let set = try ReferenceSet(folder: Resources.url("scenes-reference"))
    let loaded = try model.load(report)
    let features = try Self.compute(set, loaded, quiet: report.quiet)
    try ReferenceSet.store(features, modelSha256: ModelDigest.of(loaded.source, quiet: report.quiet), to: url)
    if report.json {
      try StandardOutput.json(Outcome(file: url.relativePath, scenes: features.count))
    } else {
      try StandardOutput.line(url.relativePath)
    }
  }

  static func compute(_ set: ReferenceSet, _ model: StableDiffusion, quiet: Bool) throws -> [LatentFeatures] {
    var bar = ProgressBar("reference scenes", total: set.scenes.count, quiet: quiet)
    var out: [LatentFeatures] = []
    for start in stride(from: 0, to: set.scenes.count, by: 32) {
      let range = start..<min(start + 32, set.scenes.count)
      let pictures = Tensor.concatenated(range.map { set.picture($0).tensor })
      out += try LatentFeatures.of(model.encode(pictures), prompts: range.map { set.scenes[$0].caption }, model: model)
      bar.advance(by: range.count)
    }
    return out
  }

  private struct Outcome: Encodable {
    let file: String
    let scenes: Int
  }
}
