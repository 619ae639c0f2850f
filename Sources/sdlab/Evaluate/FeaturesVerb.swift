import Analysis
import ArgumentParser
import Engine
import Foundation

extension Evaluate {
  struct FeaturesVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "features", abstract: "Write what a network says of a folder's pictures, once, for all measures.",
      discussion: """
        Rows are in the order of the files' names.

        Example:
          sdlab evaluate features pictures --extractor clip --extractor-weights clip-vit-large-patch14 -o features.npy
        """)

    @Argument(help: ArgumentHelp("A folder of PNG and JPEG files.", valueName: "dir"))
    var folder: String

    @OptionGroup var extraction: ExtractorOptions

    @Option(name: [.long, .short], help: ArgumentHelp("The .npy file to write: float32 [pictures, features].", valueName: "file.npy"))
    var output: String

    @Flag(help: "Write the logits, which the Inception score takes, not the features.")
    var logits = false

    @Flag(name: [.long, .short], help: "Overwrite a file that is there.")
    var force = false

    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      guard PictureFolder.isFolder(folder) else { throw InputError(.missing, "\(folder): no such folder") }
      let url = URL(fileURLWithPath: output)
      guard url.pathExtension.lowercased() == "npy" else {
        throw InputError(.usage, "\(output): features are written as an .npy file", hint: "give a name that ends in .npy")
      }
      try OutputFile.check([url], force: force)
      let pictures = try PictureFolder(folder)
      let network = try extraction.load(classes: logits)
      let values = try pictures.looked("looking at \(folder)", quiet: report.quiet, logits ? network.logits : network.features)
      try Npy.write(values.array, shape: values.shape.dimensions, to: url)
      if report.json {
        try StandardOutput.json(
          Report(output: output, pictures: values.shape[0], columns: values.shape[1], files: pictures.files.map(\.lastPathComponent)))
      } else {
        try StandardOutput.line(url.relativePath)
      }
    }

    private struct Report: Encodable {
      let output: String
      let pictures: Int
      let columns: Int
      let files: [String]
    }
  }
}
