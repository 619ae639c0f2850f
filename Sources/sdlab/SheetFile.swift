import ArgumentParser
import Engine
import Foundation
import Plots

/// How a contact sheet is drawn.
struct SheetOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Colours of the sheet: light or dark.", valueName: "name"))
  var theme = FigureOptions.ThemeName.light
}

extension ContactSheet {
  /// Writes the sheet as a PNG that says where it is from.
  /// - Throws: `InputError` (cannot write) when it cannot be drawn or written.
  func write(to url: URL) throws {
    let bytes: [UInt8]
    do { bytes = try render(.png) } catch let error as PlotError {
      throw InputError(.cannotWrite, "\(url.relativePath): the sheet cannot be drawn: \(error.description)")
    }
    var metadata = PictureMetadata()
    try metadata.addOrigin(sdlabVersion: Sdlab.version)
    try Picture(bytes: bytes, name: url.relativePath).writePNG(to: url, metadata: metadata)
  }
}

extension ContactSheet.Tile {
  init(_ picture: Picture, caption: String = "") throws {
    self.init(try RGBImage(picture), caption: caption)
  }
}
