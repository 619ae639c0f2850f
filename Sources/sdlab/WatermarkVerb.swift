import ArgumentParser
import Engine
import Foundation

struct WatermarkVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watermark",
    abstract: "Hide a short text in a picture's pixels, and read it again.",
    discussion: """
      As the invisible-watermark package does with its method dwtDct: each reads what the other has written. It survives saving as PNG, not every crop or compression. \
      `generate --watermark TEXT` writes it when a picture is made.

      Examples:
        sdlab watermark write photo.png --text "made here" -o marked.png
        sdlab watermark read marked.png --length 9
      """,
    subcommands: [Write.self, Read.self])

  struct Write: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write a text into a picture of at least 256x256 pixels.")

    @Argument(help: "A PNG or JPEG.") var image: String
    @Option(help: "The text.") var text: String
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      let url = try OutputFile.picture(
        output.output, default: URL(fileURLWithPath: image).deletingPathExtension().lastPathComponent + "-marked.png")
      if !output.dryRun { try OutputFile.check([url], force: output.force) }
      let marked = try Picture(url: URL(fileURLWithPath: image)).watermarked(with: Array(text.utf8))
      guard try marked.watermark(bytes: text.utf8.count) == Array(text.utf8) else {
        throw InputError(
          .badData, "\(image): the text cannot be read again from this picture: too much of it is smooth or saturated",
          hint: "a shorter text may do, or a larger picture")
      }
      if output.dryRun { return try StandardOutput.line("would write \(url.relativePath)") }
      try marked.writePNG(to: url)
      if report.json {
        struct Outcome: Encodable {
          let picture: String
          let bytes: Int
        }
        return try StandardOutput.json(Outcome(picture: url.relativePath, bytes: text.utf8.count))
      }
      try StandardOutput.line(url.relativePath)
    }
  }

  struct Read: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read a text of known length.",
      discussion: "A picture without a mark gives bytes, too, which mean nothing: compare them with the text that you expect.")

    @Argument(help: "A PNG or JPEG.") var image: String
    @Option(help: ArgumentHelp("Bytes of the text.", valueName: "n")) var length: Int
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      let bytes = try Picture(url: URL(fileURLWithPath: image)).watermark(bytes: length)
      let text = String(validating: bytes, as: UTF8.self)
      let hex = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
      if report.json {
        struct Outcome: Encodable {
          /// nil when the bytes are no UTF-8.
          let text: String?
          let hex: String
        }
        return try StandardOutput.json(Outcome(text: text, hex: hex))
      }
      // What is not meant to be printed is not.
      let isText =
        text.map { $0.unicodeScalars.allSatisfy { !$0.properties.isDefaultIgnorableCodePoint && $0.value >= 32 && $0.value != 127 } }
        ?? false
      try StandardOutput.line(isText ? text ?? hex : "no text: \(hex)")
    }
  }
}
