import Engine
import Foundation
import Training

/// A training as TensorBoard shows it: `tensorboard/events.out.tfevents.SECONDS.sdlab`, a file for every start.
struct EventLog {
  private let file: URL

  /// Begins a file.
  /// - Parameter step: the last that is done; what earlier files tell of later ones is forgotten, for it is computed again.
  /// - Throws: `InputError` (cannotWrite).
  init(_ training: URL, after step: Int) throws {
    let folder = training.appendingPathComponent("tensorboard")
    let now = Date().timeIntervalSince1970
    // Readers take files in the order of their names.
    file = folder.appendingPathComponent("events.out.tfevents.\(String(format: "%017.6f", now)).sdlab")
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError(.cannotWrite, "\(folder.relativePath): the folder cannot be made: \(error.localizedDescription)")
    }
    try AtomicFile.write(TensorBoardEvents.head(time: now) + TensorBoardEvents.start(time: now, step: step + 1), to: file)
  }

  func append(_ line: TrainingFolder.Line) throws {
    var values = [("loss/training", line.loss), ("gradient norm", line.norm), ("learning rate", line.rate)]
    if let validation = line.validation { values.append(("loss/validation", validation)) }
    if let psnr = line.psnr { values.append(("PSNR/validation", psnr)) }
    try append(TensorBoardEvents.scalars(time: Date().timeIntervalSince1970, step: line.step, values.map { (tag: $0.0, value: $0.1) }))
  }

  /// The sample sheet of a step.
  /// - Parameter file: a PNG.
  func append(samples file: URL, step: Int) throws {
    let size = try Picture(url: file)
    try append(
      TensorBoardEvents.picture(
        time: Date().timeIntervalSince1970, step: step, tag: "samples", width: size.width, height: size.height, png: Data(contentsOf: file))
    )
  }

  private func append(_ record: Data) throws {
    do {
      let handle = try FileHandle(forWritingTo: file)
      defer { try? handle.close() }
      _ = try handle.seekToEnd()
      try handle.write(contentsOf: record)
    } catch { throw InputError(.cannotWrite, "\(file.relativePath): \(error.localizedDescription)") }
  }
}
