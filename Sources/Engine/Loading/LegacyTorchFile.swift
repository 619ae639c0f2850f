/// A file as `torch.save` wrote it before version 1.6: pickles one behind the other (a magic number, the version, the machine, the object, the keys of its
/// storages), then the storages themselves, each behind its number of elements. Many weights that are still around are such files: pytorch-fid's Inception among them.
///
/// Source: `_legacy_load` in torch/serialization.py.
struct LegacyTorchFile {
  let pickle: Pickle
  /// Where the numbers of each storage lie, by its key.
  let ranges: [String: Range<Int>]

  /// PROTO 2 or higher, LONG1 of ten bytes, 0x1950a86a20f9469cfc6c, STOP.
  private static let magic: [UInt8] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]

  static func looksLike(_ file: FileBytes) -> Bool {
    file.count > 15 && file.all[0] == 0x80 && file.all[2..<15].elementsEqual(magic)
  }

  init(_ file: FileBytes) throws {
    func bad(_ text: String) -> InputError { InputError(.badData, "\(file.name): \(text)", hint: "copy or download it again") }
    var at = 15
    func next() throws -> Pickle {
      // A pickle's length is known at its end alone; no more is looked at than a pickle may have.
      let end = min(file.count, at + Pickle.maximumBytes)
      let pickle = try TorchCheckpoint.read(pickle: UnsafeRawBufferPointer(rebasing: file.all[at..<end]), name: file.name)
      at += pickle.byteCount
      return pickle
    }
    guard try next().root == .int(1001) else { throw bad("expected torch's protocol 1001") }
    let machine = try next()
    if let pairs = machine.dictionary(machine.root), let little = pairs.first(where: { machine.text($0.key) == "little_endian" }) {
      guard little.value == .bool(true) else { throw bad("expected little-endian numbers") }
    }
    pickle = try next()
    let list = try next()
    let keys = list.sequence(list.root)?.compactMap { list.text($0) } ?? []
    let storages = Dictionary(pickle.storages.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    var ranges: [String: Range<Int>] = [:]
    for key in keys {
      guard let storage = storages[key] else { throw bad("storage \(key) belongs to nothing") }
      guard at + 8 <= file.count else { throw bad("cut short before storage \(key)") }
      let count = Int(truncatingIfNeeded: file.base.loadUnaligned(fromByteOffset: at, as: Int64.self).littleEndian)
      at += 8
      let (size, over) = count.multipliedReportingOverflow(by: storage.dtype.size)
      guard count >= 0, !over, size <= file.count - at else { throw bad("cut short in storage \(key)") }
      ranges[key] = at..<at + size
      at += size
    }
    self.ranges = ranges
  }
}
