import Engine
import Foundation

/// The checkpoints of a training: folders `step-00001000`, each what was trained so far (a whole diffusers model, an adapter) with the training's state beside it. A folder is there whole or
/// not at all, so a training may be killed at any moment.
public struct Checkpoints: Sendable {
  public static let stateFile = "training_state.safetensors"

  public let folder: URL
  /// How many are kept; older ones are removed.
  public let kept: Int

  public init(_ folder: URL, kept: Int) {
    self.folder = folder
    self.kept = kept
  }

  /// Steps that have a checkpoint, rising.
  public var steps: [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.compactMap { name in
      guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)),
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).appendingPathComponent(Self.stateFile).path)
      else { return nil }
      return step
    }.sorted()
  }

  public func url(_ step: Int) -> URL {
    folder.appendingPathComponent("step-" + String(repeating: "0", count: max(0, 8 - "\(step)".count)) + "\(step)")
  }

  public func state(_ step: Int) -> URL { url(step).appendingPathComponent(Self.stateFile) }

  /// Writes a checkpoint, then removes what is too old.
  /// - Parameter model: fills a folder with what was trained, as it is now.
  public func write(_ trainer: Trainer, model: (URL) throws -> Void) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let atomic = try AtomicFolder(url(trainer.step))
    try model(atomic.temporary)
    try trainer.save(to: atomic.temporary.appendingPathComponent(Self.stateFile))
    try atomic.commit()
    for old in steps.dropLast(kept) { try? FileManager.default.removeItem(at: url(old)) }
  }
}
