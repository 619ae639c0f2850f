import Analysis
import Engine
import Foundation

/// A picture inverted, kept in the store: the run that goes forward again from it, with the inversion beside it.
struct KeptInversion {
  /// The reconstruction.
  let run: RunFolder
  let file: InversionFile
  /// Whether it was there already.
  let found: Bool

  var inversion: Inversion { file.inversion }
}

extension PictureRun {
  /// The inversion of a picture with this run's prompt, guidance and steps: from the store when it is there.
  ///
  /// - Parameters:
  ///   - latents: the picture's, `[1, h, w, c]`; asked for only when the inversion is made now.
  ///   - progress: called for every evaluation of the network, on the way back and forward.
  func inverted(
    _ method: Inversion.Method, _ store: RunStore, again: Bool = false, latents: () throws -> Tensor, progress: @escaping () -> Void
  ) throws -> KeptInversion {
    let name = ["inversion": method.rawValue]
    let steps = request.steps
    if !again, let there = try kept(store, intervention: name) {
      for _ in 0..<method.ways * steps { progress() }
      return KeptInversion(run: there, file: try there.inversion(), found: true)
    }
    let inversion = try model.invert(latents(), method, request) { _, _ in progress() }
    let file = InversionFile(inversion, try recorded())
    var forward = self
    forward.begin(from: .init(inversion))
    var done = 0
    let folder = try forward.trace(
      store, [], intervention: .init(name, files: { try file.write(to: $0.appendingPathComponent(InversionFile.name)) }), again: true
    ) { step, _ in
      while done < step {
        progress()
        done += 1
      }
    }
    return KeptInversion(run: folder, file: file, found: false)
  }

  /// A run that goes on from this one's inversion with other words, as `trace --inversion RUN --skip N` makes it.
  func edited(_ kept: KeptInversion, prompt: String, guidance: Double, skip: Int) throws -> PictureRun {
    var p = parameters
    (p.prompt, p.guidance, p.initImage, p.skip) = (prompt, guidance, nil, skip == 0 ? nil : skip)
    var inputs = try RunInputs(initImage: nil, mask: nil, initLatents: nil)
    let inverted = try RunInputs.Inverted(
      kept.run.url.relativePath, skip: p.skip, store: RunStore(kept.run.url.deletingLastPathComponent()))
    p.inversion = inverted.source
    inputs.inversion = inverted
    return try PictureRun(model, p, inputs, report: report)
  }
}

extension Inversion.Method {
  /// How often the steps are gone through: back, in search of embeddings, forward again.
  var ways: Int { self == .nullText ? 3 : 2 }

  /// Guidance of the inversion where none is given.
  var usualGuidance: Double {
    switch self {
    case .ddim: 1
    case .editFriendly: 3.5
    case .nullText: 7.5
    }
  }

  var title: String {
    switch self {
    case .ddim: "DDIM inversion"
    case .editFriendly: "Edit-friendly inversion"
    case .nullText: "Null-text inversion"
    }
  }
}
