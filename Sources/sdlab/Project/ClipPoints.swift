import Analysis
import Engine
import Foundation

/// Pictures and prompts as points of CLIP's space, where both lie side by side.
struct ClipPoints {
  let clip: CLIP
  let store: RunStore

  /// What a subject of the command line is.
  private enum Subject {
    case pictures([(name: String, picture: Picture, prompt: String?)])
    case prompt(String)
  }

  /// One point a picture of a file, a folder of pictures or a run, one a prompt. A picture whose own prompt is known has it in the column `prompt`.
  /// - Parameter thumbnails: every point must have a picture.
  /// - Throws: `InputError` for pictures that cannot be read, and for prompts where pictures are wanted.
  func read(_ names: [String], thumbnails: Bool, quiet: Bool) throws -> LabelledPoints {
    let subjects = try names.map { try subject($0) }
    if thumbnails, subjects.contains(where: { if case .prompt = $0 { true } else { false } }) {
      throw InputError(.usage, "--thumbnails: prompts have no pictures", hint: "leave them out, or the prompts")
    }
    var (parts, kinds, labels, prompts): ([Tensor], [String], [String], [String]) = ([], [], [], [])
    var bar = ProgressBar("looking", total: names.count, quiet: quiet)
    var shown: [Picture] = []
    for (name, subject) in zip(names, subjects) {
      switch subject {
      case .pictures(let found):
        parts.append(try clip.embeddings(found.map(\.picture)))
        kinds += found.map { _ in "picture" }
        labels += found.map(\.name)
        prompts += found.map { $0.prompt ?? "" }
        shown += found.map(\.picture)
      case .prompt(let text):
        parts.append(try clip.embeddings([text]))
        kinds.append("prompt")
        labels.append(name)
        prompts.append(text)
      }
      bar.advance()
    }
    let all = Tensor.concatenated(parts)
    return LabelledPoints(
      points: try Points(all.array, count: all.shape[0], dimension: all.shape[1], name: "CLIP embeddings"),
      columns: [.init(name: "kind", values: kinds), .init(name: "name", values: labels), .init(name: "prompt", values: prompts)],
      pictures: kinds.contains("prompt") ? nil : shown)
  }

  private func subject(_ name: String) throws -> Subject {
    if store.names(name) {
      let run = try store.open(name)
      let p = run.manifest.spec.parameters
      return .pictures(try (0..<p.count).map { ("\(run.manifest.id)/\($0)", try run.picture($0), p.prompt) })
    }
    if PictureFolder.isFolder(name) {
      return .pictures(try PictureFolder(name).files.map { ($0.lastPathComponent, try Picture(url: $0), PictureFolder.prompt(of: $0)) })
    }
    guard ExistingPicture.isPrompt(name, store) else {
      let picture = try ExistingPicture(name, index: 0, store: store)
      return .pictures([
        (URL(fileURLWithPath: name).lastPathComponent, picture.picture, PictureFolder.prompt(of: URL(fileURLWithPath: name)))
      ])
    }
    return .prompt(name)
  }
}
