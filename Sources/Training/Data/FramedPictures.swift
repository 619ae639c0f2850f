import Engine
import Foundation

/// Pictures that have been read and framed, kept as long as there is room: to decode and resize a photograph takes longer than all that is done to it afterwards.
final class FramedPictures: @unchecked Sendable {
  private let lock = NSLock()
  private var pictures: [Int: Picture] = [:]
  private var room: Int

  /// - Parameter bytes: room for all of them; what comes when it is full is made anew each time.
  init(bytes: Int) { room = bytes }

  /// Picture `index`: the kept one, or what `make` gives, which must be the same each time.
  func callAsFunction(_ index: Int, _ make: () throws -> Picture) rethrows -> Picture {
    if let kept = lock.withLock({ pictures[index] }) { return kept }
    let made = try make()
    lock.withLock {
      if pictures[index] == nil, made.pixels.count <= room {
        pictures[index] = made
        room -= made.pixels.count
      }
    }
    return made
  }
}
