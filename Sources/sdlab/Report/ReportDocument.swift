import Analysis
import Engine
import Foundation
import Plots

/// A report on its way to the disk: what `explore` and `report` have in common.
enum ReportDocument {
  /// Style, script and templates.
  static func assets() throws -> ReportAssets {
    do { return try ReportAssets(folder: Resources.url("report")) } catch let error as PlotError {
      throw InputError(.missing, error.description, hint: "keep the Resources folder beside the program, or set SDLAB_RESOURCES to it")
    }
  }

  /// The runs a report was made of, each once, for its seal.
  static func sources(_ runs: [RunFolder]) throws -> [ReportSeal.Piece] {
    var seen: Set<String> = []
    return try runs.filter { seen.insert($0.manifest.id).inserted }.map { try .init(name: $0.manifest.id, sha256: $0.manifestSha256()) }
  }

  /// What the reader is told where the safety checker has flagged a picture of the runs; nil where it has not. All pictures are hidden then: maps, films and
  /// neighbours show the flagged one, too.
  static func veil(_ runs: [RunFolder]) -> String? {
    let flagged = runs.filter(\.manifest.isFlagged).count
    guard flagged > 0 else { return nil }
    return
      "The model's safety checker flags pictures of \(flagged) of the \(runs.count) runs here. It is often wrong, in both directions. All pictures of this page are hidden."
  }

  static func write(_ document: Report, _ assets: ReportAssets, to url: URL, _ report: ReportOptions) throws -> Report.Rendered {
    let rendered: Report.Rendered
    do { rendered = try document.rendered(assets) } catch let error as PlotError {
      throw InputError(.cannotWrite, "\(url.relativePath): the report cannot be made: \(error.description)")
    }
    if let warning = rendered.warning { report.warn(warning) }
    try AtomicFile.write(Data(rendered.html.utf8), to: url)
    return rendered
  }
}

extension RunFolder {
  /// SHA-256 of `manifest.json`, which holds those of all other files.
  func manifestSha256() throws -> String { try Digest.of(file: url.appendingPathComponent("manifest.json")) }
}
