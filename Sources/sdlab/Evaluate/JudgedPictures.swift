import Engine
import Foundation
import Training

/// `--pictures`: every picture that was judged, in a folder as Hugging Face's imagefolder reads it. `metadata.jsonl` has a line a picture: its prompt, its seed, what the judge reads
/// off it, and the questions that it does not answer right.
final class JudgedPictures {
  private struct Line: Encodable {
    let fileName: String
    let text: String
    let seed: UInt64
    let group: String
    let judged: String
    let wrong: [String]
  }

  private let folder: AtomicFolder
  private var lines: [String] = []
  private var origin = PictureMetadata()

  /// - Throws: `InputError(.cannotWrite)` when something has that name already.
  init(_ path: String) throws {
    let url = URL(fileURLWithPath: path, isDirectory: true)
    guard !FileManager.default.fileExists(atPath: url.path) else {
      throw InputError(.cannotWrite, "\(path): is there already", hint: "name a new folder")
    }
    folder = try AtomicFolder(url)
    try origin.addOrigin(sdlabVersion: Sdlab.version)
  }

  func add(_ one: SceneStudy.Shown, named name: String, seed: UInt64, _ group: SceneTable.Group) throws {
    try one.picture.writePNG(to: folder.temporary.appendingPathComponent(name), metadata: origin)
    let line = Line(
      fileName: name, text: one.prompt, seed: seed, group: group.words, judged: one.judged.words, wrong: one.wrong.map(\.rawValue))
    lines.append(try StandardOutput.jsonLine(line) + "\n")
  }

  func commit() throws {
    try AtomicFile.write(Data(lines.joined().utf8), to: folder.temporary.appendingPathComponent("metadata.jsonl"))
    try folder.commit()
  }
}
