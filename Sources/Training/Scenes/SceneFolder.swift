import Engine
import Foundation

/// Many scenes in one folder, as Hugging Face's `imagefolder` reads it: a PNG a scene, `metadata.jsonl` with `file_name`, `text` and all factors a
/// line, and `masks.npy`, uint8 `[scenes, size, size]`: 0 background, 1 the first object, 2 the second, after occlusion.
public struct SceneFolder: Sendable {
  public var seed: UInt64
  public var count: Int
  /// Pixels a side, 8 to 4096.
  public var size: Int
  /// 1 or 2; nil draws it.
  public var objects: Int?
  public var heldOut: HeldOut.Rule
  /// Which of a scene's captions is written.
  public var captionVariant: Int

  public init(
    seed: UInt64, count: Int, size: Int = 64, objects: Int? = nil, heldOut: HeldOut.Rule = .never, captionVariant: Int = 0
  ) {
    self.seed = seed
    self.count = count
    self.size = size
    self.objects = objects
    self.heldOut = heldOut
    self.captionVariant = captionVariant
  }

  public func scene(_ index: Int) -> Scene { Scene.sample(seed: seed, index: index, objects: objects, heldOut: heldOut) }

  /// Names sort as the scenes are numbered.
  public func fileName(_ index: Int) -> String {
    let digits = String(index)
    return String(repeating: "0", count: max(0, String(max(0, count - 1)).count - digits.count)) + digits + ".png"
  }

  /// Draws everything, many scenes at a time, into a folder that is whole or absent; one that is there already is replaced.
  ///
  /// - Parameter progress: told after every few scenes how many are written.
  /// - Throws: `InputError` `.usage` for a size that cannot be drawn, `.cannotWrite` when the disk is full or the folder cannot be made.
  public func write(to url: URL, progress: (Int) -> Void = { _ in }) throws {
    precondition(count > 0, "\(count) scenes")
    let folder = try AtomicFolder(url)
    let target = folder.temporary
    try AtomicFile.write(to: target.appendingPathComponent("metadata.jsonl")) { metadata in
      try Npy.writeBytes(shape: [count, size, size], to: target.appendingPathComponent("masks.npy")) { masks in
        // Small enough that the masks of a piece fit in memory, large enough for all threads.
        let piece = max(Threads.count, min(256, (64 << 20) / (size * size)))
        for start in stride(from: 0, to: count, by: piece) {
          let made = try draw(start..<min(start + piece, count), into: target)
          for one in made {
            try metadata.write(one.line + "\n")
            try one.labels.withUnsafeBytes { try masks.write($0) }
          }
          progress(min(start + piece, count))
        }
      }
    }
    try folder.commit()
  }

  private struct Made {
    let line: String
    let labels: [UInt8]
  }

  private func draw(_ range: Range<Int>, into folder: URL) throws -> [Made] {
    let workers = min(Threads.count, range.count)
    let results = Results(count: range.count)
    inParallel(tasks: workers) { worker in
      do {
        let renderer = try SceneRenderer(size: size)
        for i in stride(from: range.lowerBound + worker, to: range.upperBound, by: workers) {
          try results.set(i - range.lowerBound, one(i, renderer, into: folder))
        }
      } catch {
        results.fail(error)
      }
    }
    return try results.all()
  }

  private func one(_ index: Int, _ renderer: SceneRenderer, into folder: URL) throws -> Made {
    let scene = scene(index)
    let drawn = try renderer.render(scene)
    let file = folder.appendingPathComponent(fileName(index))
    let bytes = Data(try drawn.picture.png())
    // The folder is renamed when it is whole: waiting for the disk after each file would take longer than drawing.
    AtomicFile.willWrite(file.path)
    defer { AtomicFile.hasWritten(file.path) }
    do { try bytes.write(to: file) } catch {
      throw InputError(.cannotWrite, "\(file.lastPathComponent): cannot be written: \(error.localizedDescription)")
    }
    let line = SceneRecord(fileName: fileName(index), index: index, text: scene.caption(variant: captionVariant), scene: scene)
    return Made(line: try line.json(), labels: drawn.labels)
  }

  private final class Results: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [Made?]
    private var problem: (any Error)?
    init(count: Int) { values = Array(repeating: nil, count: count) }
    func set(_ i: Int, _ value: Made) { lock.withLock { values[i] = value } }
    func fail(_ error: any Error) { lock.withLock { problem = problem ?? error } }
    func all() throws -> [Made] {
      try lock.withLock {
        if let problem { throw problem }
        return values.compactMap { $0 }
      }
    }
  }
}

/// A line of `metadata.jsonl`: the file, the caption, then the factors under the names of the reference scenes.
struct SceneRecord: Encodable {
  let fileName: String
  let index: Int
  let text: String
  let scene: Scene

  private enum Key: String, CodingKey {
    case fileName = "file_name"
    case index, text
  }

  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(fileName, forKey: .fileName)
    try values.encode(index, forKey: .index)
    try values.encode(text, forKey: .text)
    try scene.encode(to: encoder)
  }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
