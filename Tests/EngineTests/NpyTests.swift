import Foundation
import Testing

@testable import Engine

/// Files that numpy wrote (Tests/Goldens/make/npy.py), files of our own, and broken ones.
@Suite struct NpyTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Goldens/npy")
  /// Every golden holds these, shape [2, 3].
  private static let values: [Float] = [0, 1, 2, 3, 4, 250]

  private func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: Self.folder.appendingPathComponent(name))) }

  @Test(arguments: ["f4", "f8", "f2", "i4", "i8", "u1", "f4-fortran", "f4-v2", "f4-v3"]) func readsWhatNumpyWrites(name: String) throws {
    let array = try Npy.read(Self.folder.appendingPathComponent("\(name).npy"))
    #expect(array.shape == [2, 3] && array.name.isEmpty)
    #expect(try array.float32() == Self.values)
  }

  @Test(arguments: ["stored.npz", "deflated.npz"]) func readsArchives(name: String) throws {
    let arrays = try Npy.readArchive(Self.folder.appendingPathComponent(name))
    #expect(arrays.map(\.name) == ["cube", "matrix", "scalar"])
    #expect(try arrays[0].float32() == (0..<24).map(Float.init) && arrays[0].shape == [2, 3, 4])
    #expect(try arrays[1].float32() == Self.values && arrays[1].shape == [2, 3])
    #expect(try arrays[2].float32() == [7] && arrays[2].shape == [])
  }

  @Test func writesWhatItReads() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("npy-\(UInt64.random(in: 0...UInt64.max)).npy")
    defer { try? FileManager.default.removeItem(at: url) }
    for shape in [[6], [2, 3], [1, 3, 2], [6, 1]] {
      try Npy.write(Self.values, shape: shape, to: url)
      let array = try Npy.read(url)
      #expect(try array.shape == shape && array.float32() == Self.values)
      #expect(try Data(contentsOf: url).count % 64 == 24)
    }
    // numpy's own bytes.
    try Npy.write(Self.values, shape: [2, 3], to: url)
    #expect(try Array(Data(contentsOf: url)) == bytes("f4.npy"))
  }

  @Test func everyCutIsRefused() throws {
    for name in ["f4.npy", "f4-v3.npy"] {
      let whole = try bytes(name)
      for n in 0..<whole.count { #expect(throws: InputError.self) { try Npy.read(MadeFile.bytes(Array(whole[..<n]))) } }
      #expect(throws: InputError.self) { try Npy.read(MadeFile.bytes(whole + [0])) }
    }
    for name in ["stored.npz", "deflated.npz"] {
      let whole = try bytes(name)
      for n in 0..<whole.count { #expect(throws: InputError.self) { try Npy.readArchive(MadeFile.bytes(Array(whole[..<n]))) } }
    }
  }

  /// A byte changed anywhere: refused, or the same numbers (dates and other fields that nobody reads), or another name; never other numbers.
  @Test(arguments: ["stored.npz", "deflated.npz"]) func damageIsNoticed(name: String) throws {
    let whole = try bytes(name)
    for at in whole.indices {
      var bad = whole
      bad[at] ^= 0x11
      guard let arrays = try? Npy.readArchive(MadeFile.bytes(bad)) else { continue }
      for array in arrays where array.name == "matrix" {
        guard let values = try? array.float32() else { continue }
        #expect(values == Self.values, "byte \(at)")
      }
    }
  }

  private func header(_ text: String, _ data: Int = 0) -> [UInt8] {
    [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0] + MadeFile.little(UInt16(text.utf8.count)) + Array(text.utf8)
      + [UInt8](repeating: 0, count: data)
  }

  @Test(arguments: [
    ("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "dtype >f4 is not supported"),
    ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "dtype |O is not supported"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "is too large"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4), }", "is too large"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "takes 8 bytes, found 4"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "the header is not"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "the header is not"),
    ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "the header is not"),
    ("{'descr': '<f4', 'shape': (1,), }", "the header is not"),
    ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "the header is not"),
    ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "the header is not"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } + 1", "the header is not"),
    ("", "the header is not"),
  ]) func badHeaders(text: String, expected: String) {
    let error = #expect(throws: InputError.self) { try Npy.read(MadeFile.bytes(header(text, 4))) }
    #expect(error?.kind == .badData && error?.message.contains(expected) == true, "\(String(describing: error))")
  }

  @Test func bombsAreRefused() {
    let bomb = MadeFile.zip([MadeFile.Entry(name: "a.npy", data: [1], method: 8, size: 4_000_000_000)])
    let error = #expect(throws: InputError.self) { try Npy.readArchive(MadeFile.bytes(bomb)) }
    #expect(error?.message.contains("a.npy") == true, "\(String(describing: error))")
  }
}
