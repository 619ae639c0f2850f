/// The names in a zip file and where their bytes lie: what is needed to map a torch checkpoint or to read an .npz file, and no more.
///
/// Only stored entries, as torch writes them, unless the caller takes deflated ones too, as `numpy.savez_compressed` writes them: then
/// nothing is unfolded here, and no entry may claim more than deflate's largest ratio. Without that a compressed entry is refused by
/// name, so there is nothing that could unfold (a zip bomb); overlapping entries, names that occur twice, and local headers that contradict the directory are refused as well. zip64 is
/// understood. Checksums are not verified: that would read gigabytes before anything is used. (APPNOTE.TXT 6.3.10.)
public struct ZipArchive {
  /// Name to the range of its bytes in the file, stored entries only.
  public let entries: [String: Range<Int>]
  /// Name to what a deflated entry is; empty unless they were taken.
  let deflated: [String: Deflated]
  /// Name to the checksum (CRC-32) that the directory gives for the unfolded bytes.
  let checksums: [String: UInt32]

  /// Where a deflated entry lies and how many bytes it says that it becomes.
  struct Deflated {
    let range: Range<Int>
    let size: Int
  }

  private static let localSignature: UInt32 = 0x0403_4b50
  private static let directorySignature: UInt32 = 0x0201_4b50
  private static let endSignature: UInt32 = 0x0605_4b50
  private static let end64Signature: UInt32 = 0x0606_4b50
  private static let locator64Signature: UInt32 = 0x0706_4b50
  private static let maximumEntries = 200_000

  /// True when the file starts like a zip file.
  public static func looksLike(_ file: FileBytes) -> Bool {
    file.count >= 4 && file.base.loadUnaligned(as: UInt32.self).littleEndian == localSignature
  }

  /// - Parameter hint: what to do about a broken file.
  public init(
    _ file: FileBytes, takingDeflated: Bool = false, hint: String = "not a whole torch checkpoint; copy or download it again"
  ) throws {
    let reader = Reader(file, takingDeflated: takingDeflated, hint: hint)
    var end = try reader.end()
    if end.needs64 { end = try reader.end64(before: end.at) }
    guard end.count <= Self.maximumEntries else { throw reader.bad("\(end.count) entries, expected at most \(Self.maximumEntries)") }
    guard end.size <= end.at, end.start <= end.at - end.size, end.count <= end.size / 46 else {
      throw reader.bad("the directory of \(end.count) entries lies outside of the file")
    }
    var entries: [String: Range<Int>] = [:]
    var deflated: [String: Deflated] = [:]
    var checksums: [String: UInt32] = [:]
    var spans: [Range<Int>] = []
    var at = end.start
    for _ in 0..<end.count {
      let entry = try reader.entry(&at, directory: end.start..<end.start + end.size)
      guard checksums.updateValue(entry.checksum, forKey: entry.name) == nil else { throw reader.bad("entry \(entry.name) is there twice") }
      if let size = entry.unfolded {
        deflated[entry.name] = Deflated(range: entry.data, size: size)
      } else {
        entries[entry.name] = entry.data
      }
      spans.append(entry.span)
    }
    spans.sort { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
    for (a, b) in zip(spans, spans.dropFirst()) where b.lowerBound < a.upperBound {
      throw reader.bad("entries overlap at byte \(b.lowerBound)")
    }
    self.entries = entries
    self.deflated = deflated
    self.checksums = checksums
  }

  /// One record of the directory.
  private struct Record {
    var name: String
    /// The local header and the data together.
    var span: Range<Int>
    var data: Range<Int>
    var checksum: UInt32
    /// Bytes that a deflated entry becomes; nil for a stored one.
    var unfolded: Int?
  }

  /// The end record: where the directory is.
  private struct End {
    var at: Int
    var count: Int
    var size: Int
    var start: Int
    var needs64 = false
  }

  private struct Reader {
    let file: FileBytes
    let takingDeflated: Bool
    let hint: String
    init(_ file: FileBytes, takingDeflated: Bool, hint: String) {
      self.file = file
      self.takingDeflated = takingDeflated
      self.hint = hint
    }

    func bad(_ text: String) -> InputError { InputError(.badData, "\(file.name): zip: \(text)", hint: hint) }

    /// A little-endian number; the range must be inside of the file.
    func number<T: FixedWidthInteger & BitwiseCopyable>(_ at: Int, _: T.Type) throws -> Int {
      guard at >= 0, at <= file.count - MemoryLayout<T>.size else { throw bad("a record lies outside of the file") }
      let value = T(littleEndian: file.base.loadUnaligned(fromByteOffset: at, as: T.self))
      guard let number = Int(exactly: value) else { throw bad("a number beyond 63 bits") }
      return number
    }
    func u16(_ at: Int) throws -> Int { try number(at, UInt16.self) }
    func u32(_ at: Int) throws -> Int { try number(at, UInt32.self) }
    func u64(_ at: Int) throws -> Int { try number(at, UInt64.self) }

    /// The last end record whose comment ends with the file.
    func end() throws -> End {
      var at = file.count - 22
      let lowest = max(0, at - 65535)
      while at >= lowest {
        if try u32(at) == Int(endSignature), try u16(at + 20) == file.count - at - 22 {
          let disks = [try u16(at + 4), try u16(at + 6)]
          let counts = [try u16(at + 8), try u16(at + 10)]
          let size = try u32(at + 12)
          let start = try u32(at + 16)
          let needs64 = disks.contains(0xffff) || counts.contains(0xffff) || size == 0xffff_ffff || start == 0xffff_ffff
          guard needs64 || disks == [0, 0] && counts[0] == counts[1] else { throw bad("split over several files") }
          return End(at: at, count: counts[1], size: size, start: start, needs64: needs64)
        }
        at -= 1
      }
      throw bad("no end record")
    }

    func end64(before end: Int) throws -> End {
      let locator = end - 20
      guard locator >= 0, try u32(locator) == Int(locator64Signature) else { throw bad("no zip64 end record") }
      let at = try u64(locator + 8)
      guard at <= locator - 56, try u32(at) == Int(end64Signature) else { throw bad("no zip64 end record") }
      guard try u32(at + 16) == 0, try u32(at + 20) == 0, try u64(at + 24) == u64(at + 32) else { throw bad("split over several files") }
      return End(at: at, count: try u64(at + 32), size: try u64(at + 40), start: try u64(at + 48))
    }

    /// Reads the directory record at `at` and moves past it.
    func entry(_ at: inout Int, directory: Range<Int>) throws -> Record {
      guard at <= directory.upperBound - 46, try u32(at) == Int(directorySignature) else { throw bad("a broken directory record") }
      let nameLength = try u16(at + 28)
      let extraLength = try u16(at + 30)
      let next = at + 46 + nameLength + extraLength + (try u16(at + 32))
      guard next <= directory.upperBound else { throw bad("a broken directory record") }
      let nameBytes = file.all[at + 46..<at + 46 + nameLength]
      guard let name = String(validating: nameBytes, as: UTF8.self) else { throw bad("an entry name that is not UTF-8") }
      let flags = try u16(at + 8)
      let checksum = UInt32(try u32(at + 16))
      let method = try u16(at + 10)
      guard flags & 1 == 0 else { throw bad("entry \(name) is encrypted") }
      var stored = try u32(at + 20)
      var size = try u32(at + 24)
      var local = try u32(at + 42)
      let extra = at + 46 + nameLength..<at + 46 + nameLength + extraLength
      try expand64(extra, &size, &stored, &local, name)
      let isDeflated = takingDeflated && method == 8
      guard method == 0 || isDeflated else {
        throw bad("entry \(name) is compressed (method \(method), \(stored) to \(size) bytes), expected stored as torch writes it")
      }
      // 258 bytes from two bits is the most that deflate can say.
      guard !isDeflated || size / 1032 <= stored else {
        throw bad("entry \(name): \(stored) bytes cannot become \(size)")
      }
      guard isDeflated || stored == size else { throw bad("entry \(name) is stored, yet \(stored) bytes are to become \(size)") }
      guard local <= directory.lowerBound - 30, try u32(local) == Int(localSignature) else {
        throw bad("entry \(name) has no local header")
      }
      guard try u16(local + 8) == method, try u16(local + 26) == nameLength else {
        throw bad("entry \(name): its local header says otherwise")
      }
      let start = local + 30 + nameLength + (try u16(local + 28))
      guard start <= directory.lowerBound, stored <= directory.lowerBound - start else {
        throw bad("entry \(name) ends after byte \(file.count)")
      }
      guard file.all[local + 30..<local + 30 + nameLength].elementsEqual(nameBytes) else {
        throw bad("entry \(name): its local header says otherwise")
      }
      at = next
      return Record(
        name: name, span: local..<start + stored, data: start..<start + stored, checksum: checksum, unfolded: isDeflated ? size : nil)
    }

    /// zip64: numbers that do not fit in 32 bits follow in extra field 1, in this order.
    private func expand64(_ extra: Range<Int>, _ size: inout Int, _ stored: inout Int, _ local: inout Int, _ name: String) throws {
      let limit = 0xffff_ffff
      guard size == limit || stored == limit || local == limit else { return }
      var at = extra.lowerBound
      while at + 4 <= extra.upperBound {
        let end = at + 4 + (try u16(at + 2))
        guard end <= extra.upperBound else { break }
        if try u16(at) == 1 {
          var field = at + 4
          func next() throws -> Int {
            guard field + 8 <= end else { throw bad("entry \(name) has a broken zip64 field") }
            defer { field += 8 }
            return try u64(field)
          }
          if size == limit { size = try next() }
          if stored == limit { stored = try next() }
          if local == limit { local = try next() }
          return
        }
        at = end
      }
      throw bad("entry \(name) has no zip64 field")
    }
  }
}
