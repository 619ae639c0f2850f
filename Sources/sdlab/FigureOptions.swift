import ArgumentParser
import Engine
import Foundation
import Plots

/// How a figure is drawn and where it goes.
struct FigureOptions: ParsableArguments {
  @Option(
    name: [.customLong("output"), .short],
    help: ArgumentHelp("The figure to write; its ending says how: .png, .svg or .pdf.", valueName: "file"))
  var output: String?

  @Flag(name: [.long, .short], help: "Overwrite files that are there. Without it nothing is ever overwritten.")
  var force = false

  @Option(help: ArgumentHelp("Colours: light or dark.", valueName: "name"))
  var theme = ThemeName.light

  @Option(help: ArgumentHelp("Pixels per inch of a PNG, 36 to 1200.", valueName: "n"))
  var dpi = 144

  enum ThemeName: String, CaseIterable, ExpressibleByArgument {
    case light, dark
    var theme: Theme { self == .light ? .light : .dark }
  }

  /// The file and its format, checked before anything is computed.
  /// - Parameter stem: name of the file when none is given.
  func target(default stem: String, alsoWriting others: [URL] = []) throws -> (url: URL, format: FileFormat) {
    let target = try Self.file(output ?? "\(stem).png", dpi: dpi)
    try OutputFile.check([target.url] + others, force: force)
    return target
  }

  /// A figure's file and its format.
  static func file(_ path: String, dpi: Int) throws -> (url: URL, format: FileFormat) {
    guard (36...1200).contains(dpi) else { throw InputError(.usage, "--dpi \(dpi): expected 36 to 1200") }
    let url = URL(fileURLWithPath: path)
    guard let format = FileFormat(rawValue: url.pathExtension.lowercased()) else {
      throw InputError(
        .usage, "\(url.relativePath): figures are written as \(FileFormat.allCases.map(\.rawValue).joined(separator: ", "))",
        hint: "give a name that ends in .png, .svg or .pdf")
    }
    return (url, format)
  }

  func write(_ figure: Figure, to url: URL, _ format: FileFormat) throws {
    try Self.write(figure, to: url, format, dpi: dpi, theme: theme)
  }

  static func write(_ figure: Figure, to url: URL, _ format: FileFormat, dpi: Int, theme: ThemeName) throws {
    let drawn: [UInt8]
    do { drawn = try figure.render(format, scale: Double(dpi) / 72, theme: theme.theme) } catch let error as PlotError {
      throw InputError(.cannotWrite, "\(url.relativePath): the figure cannot be drawn: \(error.description)")
    }
    try AtomicFile.write(drawn, to: url)
  }
}

extension RGBImage {
  init(_ picture: Picture) throws { try self.init(width: picture.width, height: picture.height, pixels: picture.pixels) }
}
