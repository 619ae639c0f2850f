import ArgumentParser
import Engine
import Foundation

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a model consists of, or what a picture says about itself.",
    discussion: """
      Examples:
        sdlab inspect
        sdlab inspect stable-diffusion-v1-5/stable-diffusion-v1-5 --modules
        sdlab inspect picture.png --json
      """)

  @Argument(
    help: ArgumentHelp(
      "A model (folder, single file, hub name in the local cache) or a picture (PNG, JPEG). Default: the model that comes with the program.",
      valueName: "model|image"))
  var subject: String?

  @Flag(help: "List all modules with the shapes and numbers of their parameters.")
  var modules = false

  @Flag(help: "List all places where tensors can be read or replaced, with the meaning of their dimensions.")
  var sites = false

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    if subject != nil, model.model != nil { throw InputError(.usage, "two models: give it as an argument or with --model, not both") }
    if let subject, Self.isPicture(subject) {
      guard !modules, !sites else { throw InputError(.usage, "\(subject): is a picture, which has no modules and no sites") }
      return try PictureInspection(path: subject).print(json: report.json)
    }
    var options = model
    options.model = subject ?? model.model
    try ModelInspection(options, report).print(modules: modules, sites: sites)
  }

  /// By the first bytes of a file.
  private static func isPicture(_ path: String) -> Bool {
    guard let handle = FileHandle(forReadingAtPath: path), let start = try? handle.read(upToCount: 8) else { return false }
    return start.starts(with: [0x89, 0x50, 0x4e, 0x47]) || start.starts(with: [0xff, 0xd8, 0xff])
  }
}
