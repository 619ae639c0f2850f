import Engine
import Foundation

/// What a picture's file says about itself.
struct PictureInspection {
  let path: String
  let metadata: ImageMetadata
  let origin: ImageMetadata.Origin?

  init(path: String) throws {
    self.path = path
    metadata = try ImageMetadata.read(url: URL(fileURLWithPath: path))
    origin = try metadata.origin(name: path)
  }

  func print(json: Bool) throws {
    if json { return try StandardOutput.json(report) }
    var rows = [
      ["file", path.oneLine],
      ["format", metadata.format.rawValue],
      ["size", size],
    ]
    if metadata.orientation != 1 { rows.append(["orientation", "\(metadata.orientation) (EXIF)"]) }
    switch origin {
    case .sdlab(let p): rows.append(["made by", "sdlab \(p.sdlabVersion.oneLine): `sdlab rerun` makes it again"])
    case .foreign(let f): rows.append(["made by", "\(f.program.rawValue): `sdlab rerun` makes it as far as it goes"])
    case nil: rows.append(["made by", "not said"])
    }
    for note in metadata.notes + foreignNotes { rows.append(["note", note.oneLine]) }
    try StandardOutput.line(table(rows))
    for text in metadata.texts {
      try StandardOutput.line("\n\(text.keyword.oneLine):")
      for line in text.text.split(separator: "\n", omittingEmptySubsequences: false) {
        try StandardOutput.line("  \(String(line).oneLine)")
      }
    }
  }

  private var size: String {
    guard let width = metadata.width, let height = metadata.height else { return "unknown" }
    return "\(width)x\(height) pixels"
  }

  private var foreignNotes: [String] { if case .foreign(let f) = origin { f.notes } else { [] } }

  private var report: Report {
    var report = Report(
      kind: "image", file: path, format: metadata.format.rawValue, width: metadata.width, height: metadata.height,
      orientation: metadata.orientation,
      texts: metadata.texts.map { .init(keyword: $0.keyword, text: $0.text) }, notes: metadata.notes + foreignNotes)
    if case .sdlab(let parameters) = origin { report.parameters = parameters }
    return report
  }

  private struct Report: Encodable {
    struct Text: Encodable {
      let keyword: String
      let text: String
    }
    let kind: String
    let file: String
    let format: String
    let width: Int?
    let height: Int?
    let orientation: Int
    let texts: [Text]
    let notes: [String]
    var parameters: GenerationParameters?
  }
}
