import Foundation
import Testing

@testable import Engine

/// Files that lie: every one is refused in one line, before memory is taken for what it promises.
@Suite(.timeLimit(.minutes(1))) struct LoadingHostileSafetensorsTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let expected: [String]
    init(_ name: String, _ bytes: [UInt8], _ expected: String...) { (testDescription, self.bytes, self.expected) = (name, bytes, expected) }
  }

  static func entry(_ name: String, _ dtype: String, _ shape: String, _ offsets: String) -> String {
    "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
  }
  static func file(_ entries: String..., data: Int = 0) -> [UInt8] {
    MadeFile.safetensors("{\(entries.joined(separator: ","))}", data: data)
  }

  static let cases: [Case] = [
    Case("empty", [], "at least 8 bytes, found 0"),
    Case("seven bytes", [1, 0, 0, 0, 0, 0, 0], "found 7"),
    Case("cut in the header", MadeFile.safetensors("{}", length: 20), "the header takes 20 bytes, found 2"),
    Case("header of 100 MB and one", MadeFile.safetensors("{}", length: 100_000_001), "would take 100000001 bytes", "at most 100000000"),
    Case("header of 2^64 - 1", MadeFile.safetensors("{}", length: .max), "would take 18446744073709551615 bytes"),
    Case("cut in the data", file(entry("a", "F32", "[4]", "[0,16]"), data: 15), "a: data ends at byte 16, the file has 15"),
    Case("more than it says", file(entry("a", "F32", "[4]", "[0,16]"), data: 17), "1 bytes after the last tensor"),
    Case("data without tensors", file(data: 8), "8 bytes after the last tensor"),
    Case(
      "overlap", file(entry("a", "F32", "[2]", "[0,8]"), entry("b", "F32", "[2]", "[4,12]"), data: 12),
      "b: data_offsets start at 4, expected 8: overlap"),
    Case("the same bytes twice", file(entry("a", "U8", "[2]", "[0,2]"), entry("b", "U8", "[2]", "[0,2]"), data: 2), "overlap"),
    Case(
      "a hole", file(entry("a", "U8", "[2]", "[0,2]"), entry("b", "U8", "[2]", "[3,5]"), data: 5),
      "b: data_offsets start at 3, expected 2: a hole"),
    Case("a hole in front", file(entry("a", "U8", "[2]", "[1,3]"), data: 3), "a: data_offsets start at 1, expected 0: a hole"),
    Case(
      "backwards", file(entry("a", "U8", "[0]", "[0,0]"), entry("b", "U8", "[1]", "[0,1]"), entry("c", "U8", "[1]", "[1,0]"), data: 1),
      "[1, 0]"),
    Case("beyond the file", file(entry("a", "F32", "[250000000000]", "[0,1000000000000]"), data: 4), "data ends at byte 1000000000000"),
    Case("shape and offsets differ", file(entry("a", "F32", "[3]", "[0,16]"), data: 16), "[0, 16] do not hold 12 bytes of F32 [3]"),
    Case(
      "a product beyond 63 bits", file(entry("a", "F32", "[4294967296,4294967296]", "[0,0]")),
      "a: shape [4294967296, 4294967296] is too large"),
    Case(
      "a product that comes out as 0", file(entry("a", "F64", "[2305843009213693952,8]", "[0,0]")), "is too large"),
    Case("hidden behind an empty dimension", file(entry("a", "F64", "[0,9223372036854775807,4]", "[0,0]")), "is too large"),
    Case("a size beyond 64 bits", file(entry("a", "U8", "[99999999999999999999]", "[0,0]")), "a number beyond 64 bits at byte"),
    Case("a negative size", file(entry("a", "U8", "[-1]", "[0,0]")), "expected a whole number at byte"),
    Case("a fraction", file(entry("a", "U8", "[1.5]", "[0,1]"), data: 1), "expected ]"),
    Case("17 dimensions", file(entry("a", "U8", "\([Int](repeating: 1, count: 17))", "[0,1]"), data: 1), "a list of more than 16 numbers"),
    Case("three offsets", file(entry("a", "U8", "[1]", "[0,1,1]"), data: 1), "a list of more than 2 numbers"),
    Case("one offset", file(entry("a", "U8", "[1]", "[0]"), data: 1), "a: expected dtype, shape and two data_offsets"),
    Case("no shape", MadeFile.safetensors("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", data: 1), "a: expected dtype, shape"),
    Case("a name twice", file(entry("a", "U8", "[1]", "[0,1]"), entry("a", "U8", "[1]", "[1,2]"), data: 2), "a is there twice"),
    Case(
      "a name twice, once escaped", file(entry("a", "U8", "[1]", "[0,1]"), entry("\\u0061", "U8", "[1]", "[1,2]"), data: 2),
      "a is there twice"),
    Case(
      "a key twice", MadeFile.safetensors("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1]}}", data: 1),
      "a: unexpected or repeated key dtype"),
    Case("metadata twice", MadeFile.safetensors("{\"__metadata__\":{},\"__metadata__\":{}}"), "__metadata__ is there twice"),
    Case("metadata that is no text", MadeFile.safetensors("{\"__metadata__\":{\"a\":1}}"), "expected \""),
    Case(
      "an unknown type", file(entry("a", "F8_E4M3", "[1]", "[0,1]"), data: 1), "a: dtype F8_E4M3 is not supported",
      "expected one of F64, F32"),
    Case("no JSON", MadeFile.safetensors("hello"), "expected { at byte 0"),
    Case("a list", MadeFile.safetensors("[]"), "expected {"),
    Case("nested deeply", MadeFile.safetensors(String(repeating: "{\"a\":", count: 100_000)), "unexpected or repeated key"),
    Case("text without end", MadeFile.safetensors("{\"a"), "a text without end"),
    Case("half a pair", MadeFile.safetensors("{\"\\ud800\":{}}"), "half a surrogate pair"),
    Case("not UTF-8", MadeFile.little(UInt64(6)) + [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7d], "a text that is not UTF-8"),
    Case("a name that drives a terminal", file(entry("\\u001b[31m\\n", "F31", "[1]", "[0,1]"), data: 1), "\\u{1B}[31m\\n: dtype F31"),
    Case(
      "a name of 5000 bytes", file(entry(String(repeating: "a", count: 5000), "U8", "[1]", "[0,1]"), data: 1),
      "a text of more than 4096 bytes"),
    Case("something behind", MadeFile.safetensors("{} {}"), "something after the JSON object"),
    Case(
      "a zip file by that name", Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 100), "the header takes 67324752 bytes, found 96"
    ),
  ]

  @Test(arguments: cases) func isRefused(_ c: Case) {
    let pool = BufferPool()
    BufferPool.$current.withValue(pool) {
      expectRefusal(["made.file: "] + c.expected) { _ = try Safetensors.read(MadeFile.bytes(c.bytes)) }
    }
    #expect(pool.statistics.taken == 0)
  }

  /// A file of which most is a hole: it can promise a terabyte without having it.
  @Test func aTerabyteIsNotRead() throws {
    let folder = try TemporaryFolder()
    let url = try folder.write(Self.file(Self.entry("a", "F32", "[250000000000]", "[0,1000000000000]")), "a.safetensors")
    #expect(truncate(url.path, 1 << 36) == 0)
    expectRefusal([url.path, "data ends at byte 1000000000000"]) { _ = try Safetensors.read(url) }
    let header = try folder.write(MadeFile.safetensors("{", length: 99_999_999), "b.safetensors")
    #expect(truncate(header.path, 1 << 36) == 0)
    expectRefusal([header.path, "expected \""]) { _ = try Safetensors.read(header) }
  }

  @Test func everyCutIsRefused() throws {
    let whole = MadeFile.safetensors([("a", [1, 2], [2]), ("b", [3], [1])])
    #expect(try Safetensors.read(MadeFile.bytes(whole)).tensors.map(\.name) == ["a", "b"])
    for n in 0..<whole.count { expectRefusal(["made.file: "]) { _ = try Safetensors.read(MadeFile.bytes(Array(whole[..<n]))) } }
  }

  @Test func whatIsNoFile() throws {
    let folder = try TemporaryFolder()
    expectRefusal(["/nowhere: No such file"], .missing) { _ = try Safetensors.read(folder.url.appendingPathComponent("nowhere")) }
    expectRefusal(["not an ordinary file"], .missing) { _ = try Safetensors.read(folder.url) }
    let pipe = folder.url.appendingPathComponent("pipe")
    #expect(mkfifo(pipe.path, 0o600) == 0)
    expectRefusal(["not an ordinary file"], .missing) { _ = try Safetensors.read(pipe) }
  }
}

@Suite(.timeLimit(.minutes(1))) struct LoadingHostilePickleTests {
  typealias Case = LoadingHostileSafetensorsTests.Case

  static func call(_ module: String, _ name: String) -> [UInt8] { MadeFile.pickle(MadeFile.call(module, name, [MadeFile.text("true")])) }
  /// STACK_GLOBAL takes module and name from the stack.
  static func stackGlobal(_ module: String, _ name: String) -> [UInt8] {
    [0x80, 4, 0x8c, UInt8(module.utf8.count)] + Array(module.utf8) + [0x8c, UInt8(name.utf8.count)] + Array(name.utf8) + [
      0x93, 0x29, 0x52, 0x2e,
    ]
  }

  static let cases: [Case] = [
    Case("os.system", call("os", "system"), "refused: global os.system", "may run foreign code"),
    Case("posix.system in protocol 4", stackGlobal("posix", "system"), "refused: global posix.system"),
    Case("eval", call("builtins", "eval"), "refused: global builtins.eval"),
    Case("eval of Python 2", call("__builtin__", "eval"), "refused: global __builtin__.eval"),
    Case("getattr", call("builtins", "getattr"), "refused: global builtins.getattr"),
    Case("subprocess", call("subprocess", "Popen"), "refused: global subprocess.Popen"),
    Case("torch.load", call("torch", "load"), "refused: global torch.load"),
    Case("a part of a known module", call("torch._utils", "_rebuild_sparse_tensor"), "refused: global torch._utils._rebuild_sparse_tensor"),
    Case(
      "a name with a dot", call("torch", "_utils._rebuild_tensor_v2.__globals__"),
      "refused: global torch._utils._rebuild_tensor_v2.__globals__"),
    Case("almost Lightning", call("pytorch_lightning_evil.x", "y"), "refused: global pytorch_lightning_evil.x.y"),
    Case("a name with line breaks", stackGlobal("os\n", "\u{1b}[2Jsystem"), "refused: global os\\n.\\u{1B}[2Jsystem"),
    Case("INST", MadeFile.pickle([0x28] + Array("ios\nsystem\n".utf8)), "refused: opcode 0x69"),
    Case("OBJ", MadeFile.pickle([0x28, 0x6f]), "refused: opcode 0x6f"),
    Case("an extension", MadeFile.pickle([0x82, 1]), "refused: opcode 0x82"),
    Case("a persistent id as text", MadeFile.pickle(Array("Pabc\n".utf8)), "refused: opcode 0x50"),
    Case("another persistent id", MadeFile.pickle(MadeFile.text("abc") + [0x51]), "refused: a persistent id other than torch's storage"),
    Case("an unknown opcode", MadeFile.pickle([0xff]), "refused: opcode 0xff"),
    Case("out of band", MadeFile.pickle([0x97]), "refused: opcode 0x97"),
    Case("protocol 1", [0x80, 1, 0x4e, 0x2e], "protocol 1, expected 2 to 5"),
    Case("protocol 6", [0x80, 6, 0x4e, 0x2e], "protocol 6, expected 2 to 5"),
    Case(
      "a call of a text", MadeFile.pickle(MadeFile.text("os.system") + [0x29, 0x52]),
      "refused: a call of something that is no known function"),
    Case(
      "an object of a function", MadeFile.pickle(MadeFile.global("torch._utils", "_rebuild_tensor_v2") + [0x29, 0x81]),
      "refused: an object of a class"),
    Case("a call of a storage", MadeFile.pickle(MadeFile.call("torch", "FloatStorage", [])), "refused: a call of a storage type"),
    Case("a state for a tuple", MadeFile.pickle([0x29, 0x7d, 0x62]), "a state for something that has none"),
    Case("nothing", [], "cut short at byte 0"),
    Case("no end", [0x80, 2, 0x4e], "cut short at byte 3"),
    Case("an empty stack", [0x80, 2, 0x2e], "a value is missing"),
    Case("below the mark", MadeFile.pickle([0x4e, 0x28, 0x85]), "a value is missing"),
    Case("no mark", MadeFile.pickle([0x4e, 0x74]), "a mark is missing"),
    Case("an empty memo", MadeFile.pickle([0x68, 7]), "memo 7 is empty"),
    Case("a text of 4 GB", MadeFile.pickle([0x58, 0xff, 0xff, 0xff, 0xff]), "cut short"),
    Case("a text of 2^63", MadeFile.pickle([0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80]), "a length beyond 63 bits"),
    Case("bytes of 2^62", MadeFile.pickle([0x8e, 0, 0, 0, 0, 0, 0, 0, 0x40]), "cut short"),
    Case("a text that is not UTF-8", MadeFile.pickle([0x8c, 1, 0xff]), "a text that is not UTF-8"),
    Case("a key without value", MadeFile.pickle([0x7d, 0x28, 0x4e, 0x75]), "a key without a value"),
    Case("an item for a dictionary", MadeFile.pickle([0x7d, 0x4e, 0x61]), "an item for something that is no list"),
    Case(
      "a torch.Size of much",
      MadeFile.pickle(MadeFile.call("torch", "Size", [[0x5d, 0x28] + [UInt8](repeating: 0x4e, count: 17) + [0x65]])), "a torch.Size"),
    Case(
      "a negative size", MadeFile.pickle(MadeFile.tensor([-1], strides: [1], elements: 1)),
      "a tensor without storage, offset, shape and strides"),
    Case("a negative offset", MadeFile.pickle(MadeFile.tensor([1], strides: [1], elements: 1, offset: -1)), "a tensor without storage"),
    Case("ranks that differ", MadeFile.pickle(MadeFile.tensor([1, 1], strides: [1], elements: 1)), "a tensor without storage"),
  ]

  @Test(arguments: cases) func isRefused(_ c: Case) {
    expectRefusal(["made.file: pickle: "] + c.expected) {
      _ = try c.bytes.withUnsafeBytes { try TorchCheckpoint.read(pickle: $0, name: "made.file") }
    }
    // The same inside of a checkpoint.
    let file = MadeFile.bytes(MadeFile.zip([MadeFile.Entry(name: "a/data.pkl", data: c.bytes)]))
    expectRefusal(["made.file: pickle: "] + c.expected) { _ = try TorchCheckpoint.read(file) }
  }

  private func pickle(_ bytes: [UInt8]) throws -> Pickle {
    try bytes.withUnsafeBytes { try TorchCheckpoint.read(pickle: $0, name: "made.file") }
  }

  /// Each level holds the one before it twice: 2^60 items, when somebody unfolds them.
  @Test func memoBombStaysSmall() throws {
    var bytes: [UInt8] = [0x5d, 0x71, 0]
    for i in 1..<60 { bytes += [0x5d, 0x28, 0x68, UInt8(i - 1), 0x68, UInt8(i - 1), 0x65, 0x71, UInt8(i)] }
    let read = try pickle(MadeFile.pickle(bytes))
    #expect(read.sequences.count == 60)
    #expect(read.sequences.allSatisfy { $0.count <= 2 })
  }

  /// A list of 60,000 pairs becomes a dictionary again and again, at 6 bytes each.
  @Test func repeatedConstructionIsBounded() throws {
    let pair: [UInt8] = [0x4e, 0x4e, 0x86]
    var bytes: [UInt8] = [0x5d, 0x71, 0, 0x28] + Array(repeating: pair, count: 60_000).joined() + [0x65, 0x30]
    bytes += MadeFile.global("collections", "OrderedDict") + [0x71, 1, 0x30]
    for _ in 0..<10_000 { bytes += [0x68, 1, 0x68, 0, 0x85, 0x52, 0x30] }
    expectRefusal(["pickle: more than 2000000 operations"]) { _ = try pickle(MadeFile.pickle([0x4e] + bytes)) }
  }

  @Test func operationsAreBounded() throws {
    expectRefusal(["more than 2000000 operations"]) { _ = try pickle(MadeFile.pickle([UInt8](repeating: 0x4e, count: 2_100_000))) }
    expectRefusal(["67108865 bytes, expected at most 67108864"]) { _ = try pickle([UInt8](repeating: 0x4e, count: 64 << 20 | 1)) }
  }

  @Test func depthCostsNothing() throws {
    let deep = try pickle(MadeFile.pickle([0x4e] + [UInt8](repeating: 0x85, count: 1_000_000)))
    #expect(deep.sequences.count == 1_000_000)
    // A list that holds itself.
    let cycle = try pickle(MadeFile.pickle([0x5d, 0x94, 0x68, 0, 0x61]))
    #expect(cycle.root == .list(0) && cycle.sequences == [[.list(0)]])
  }

  @Test(arguments: 2...5) func protocols(_ version: UInt8) throws {
    let value = MadeFile.dictionary([("a", MadeFile.number(-5)), ("b", MadeFile.tuple([[0x88], [0x4e], MadeFile.text("é")]))])
    let read = try pickle(MadeFile.pickle(version < 4 ? value : [0x95] + MadeFile.little(UInt64(value.count)) + value, protocol: version))
    let pairs = try #require(read.dictionary(read.root))
    #expect(pairs.map { read.text($0.key) } == ["a", "b"])
    #expect(pairs[0].value == .int(-5))
    #expect(read.sequence(pairs[1].value)?.prefix(2) == [.bool(true), .none])
    expectRefusal(["pickle: refused: global os.system"]) {
      _ = try pickle(MadeFile.pickle(MadeFile.call("os", "system", []), protocol: version))
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct LoadingHostileZipTests {
  typealias Case = LoadingHostileSafetensorsTests.Case
  typealias Entry = MadeFile.Entry

  static let two = MadeFile.zip([Entry(name: "a", data: [1, 2, 3]), Entry(name: "b", data: [4])])

  static let cases: [Case] = [
    Case("no end", Array(two.dropLast(1)), "no end record"),
    Case("cut in the middle", Array(two.prefix(60)), "no end record"),
    Case("the front is gone", Array(two.dropFirst(10)), "lies outside of the file"),
    Case(
      "compressed", MadeFile.zip([Entry(name: "a/data.pkl", data: [1], method: 8)]),
      "entry a/data.pkl is compressed (method 8, 1 to 1 bytes), expected stored"),
    Case(
      "a bomb", MadeFile.zip([Entry(name: "a", data: [1], method: 8, size: 4_000_000_000)]), "entry a is compressed", "4000000000 bytes"),
    Case("encrypted", MadeFile.zip([Entry(name: "a", data: [1], flags: 1)]), "entry a is encrypted"),
    Case("longer than the file", MadeFile.zip([Entry(name: "a", data: [1], size: 1000)]), "entry a ends after byte"),
    Case("4 GB in 100 bytes", MadeFile.zip([Entry(name: "a", data: [1], size: 0xffff_fffe)]), "entry a ends after byte"),
    Case(
      "the same bytes under two names",
      MadeFile.zip([Entry(name: "a", data: [1, 2, 3]), Entry(name: "b", data: [], size: 3, offset: 0, localName: "b")]),
      "its local header says otherwise"),
    Case(
      "overlap", MadeFile.zip([Entry(name: "a", data: [1, 2, 3], size: 20), Entry(name: "a2", data: [UInt8](repeating: 0, count: 40))]),
      "entries overlap at byte"),
    Case("a name twice", MadeFile.zip([Entry(name: "a", data: [1]), Entry(name: "a", data: [2])]), "entry a is there twice"),
    Case("another local name", MadeFile.zip([Entry(name: "ab", data: [1], localName: "ba")]), "entry ab: its local header says otherwise"),
    Case("an offset behind the directory", MadeFile.zip([Entry(name: "a", data: [1], offset: 5000)]), "entry a has no local header"),
    Case(
      "60,000 entries in 100 bytes", MadeFile.zip([Entry(name: "a", data: [1])], count: 60_000),
      "the directory of 60000 entries lies outside"),
    Case("zip64 without its record", MadeFile.zip([Entry(name: "a", data: [1])], count: 0xffff), "no zip64 end record"),
  ]

  @Test(arguments: cases) func isRefused(_ c: Case) {
    expectRefusal(["made.file: zip: "] + c.expected) { _ = try ZipArchive(MadeFile.bytes(c.bytes)) }
  }

  @Test(arguments: [false, true]) func reads(zip64: Bool) throws {
    let bytes = MadeFile.zip([Entry(name: "a", data: [1, 2, 3]), Entry(name: "é/b", data: [])], zip64: zip64)
    let archive = try ZipArchive(MadeFile.bytes(bytes))
    #expect(archive.entries.keys.sorted() == ["a", "é/b"])
    #expect(try Array(bytes[#require(archive.entries["a"])]) == [1, 2, 3])
    for n in 0..<bytes.count { expectRefusal(["made.file: zip: "]) { _ = try ZipArchive(MadeFile.bytes(Array(bytes[..<n]))) } }
  }

  /// zip64's numbers, each in turn as large as they go.
  @Test func hugeZip64Numbers() throws {
    let bytes = MadeFile.zip([Entry(name: "a", data: [1, 2, 3])], zip64: true)
    let end = try #require((0..<bytes.count).last { Array(bytes[$0...].prefix(4)) == [0x50, 0x4b, 6, 6] })
    let extra = try #require((0..<end).last { Array(bytes[$0...].prefix(4)) == [1, 0, 24, 0] }) + 4
    for at in [end + 24, end + 32, end + 40, end + 48, end + 56 + 8, extra, extra + 8, extra + 16] {
      for value in [UInt64.max, UInt64(Int.max), UInt64(Int.max) - 30, 1 << 40] {
        var bad = bytes
        bad.replaceSubrange(at..<at + 8, with: MadeFile.little(value))
        expectRefusal(["made.file: zip: "]) { _ = try ZipArchive(MadeFile.bytes(bad)) }
      }
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct LoadingHostileCheckpointTests {
  typealias Case = LoadingHostileSafetensorsTests.Case

  static func one(_ tensor: [UInt8], _ data: [String: [UInt8]] = ["0": [UInt8](repeating: 0, count: 24)]) -> [UInt8] {
    MadeFile.checkpoint(MadeFile.dictionary([("w", tensor)]), data)
  }
  static let cases: [Case] = [
    Case("no zip", [0x80, 2, 0x8a, 10], "not a torch checkpoint: neither a zip file nor", "load and save it again"),
    Case("empty", [], "not a torch checkpoint"),
    Case("no pickle", MadeFile.zip([MadeFile.Entry(name: "archive/x", data: [])]), "expected one data.pkl in the zip file, found 0"),
    Case(
      "two pickles", MadeFile.zip([MadeFile.Entry(name: "a/data.pkl", data: []), MadeFile.Entry(name: "b/data.pkl", data: [])]),
      "expected one data.pkl in the zip file, found 2"),
    Case(
      "big-endian",
      MadeFile.zip([
        MadeFile.Entry(name: "a/data.pkl", data: MadeFile.pickle([0x7d])), MadeFile.Entry(name: "a/byteorder", data: Array("big".utf8)),
      ]), "expected little-endian numbers"),
    Case("no dictionary", MadeFile.checkpoint([0x4e]), "expected a dictionary of tensors"),
    Case("no numbers", one(MadeFile.tensor([2, 3], strides: [3, 1], elements: 6), [:]), "w: its numbers data/0 are missing"),
    Case("a key that leads elsewhere", one(MadeFile.tensor([1], strides: [1], key: "../../x", elements: 6)), "data/../../x are missing"),
    Case("too few numbers", one(MadeFile.tensor([2, 3], strides: [3, 1], elements: 7)), "w: expected 7 F32 in data/0, found 24 bytes"),
    Case(
      "another type", one(MadeFile.tensor([2, 3], strides: [3, 1], storage: "DoubleStorage", elements: 6)),
      "w: expected 6 F64 in data/0, found 24"),
    Case(
      "beyond its storage", one(MadeFile.tensor([2, 4], strides: [4, 1], elements: 6)),
      "shape [2, 4] with strides [4, 1] from 0 exceeds its 6 numbers"),
    Case("an offset", one(MadeFile.tensor([2, 3], strides: [3, 1], elements: 6, offset: 1)), "from 1 exceeds its 6 numbers"),
    Case("an offset of 2^63 - 1", one(MadeFile.tensor([2], strides: [1], elements: 6, offset: .max)), "is too large"),
    Case("strides of 2^62", one(MadeFile.tensor([3], strides: [1 << 62], elements: 6)), "is too large"),
    // One number, asked for as 10^12: the file would be small and the memory large.
    Case("a broadcast", one(MadeFile.tensor([1_000_000, 1_000_000], strides: [0, 0], elements: 6)), "exceeds its 6 numbers"),
    Case("a product beyond 63 bits", one(MadeFile.tensor([1 << 40, 1 << 40], strides: [0, 0], elements: 6)), "is too large"),
  ]

  @Test(arguments: cases) func isRefused(_ c: Case) {
    let pool = BufferPool()
    BufferPool.$current.withValue(pool) {
      expectRefusal(["made.file: "] + c.expected) { _ = try TorchCheckpoint.read(MadeFile.bytes(c.bytes)) }
    }
    #expect(pool.statistics.taken == 0)
  }

  @Test func everyCutIsRefused() throws {
    let whole = Self.one(MadeFile.tensor([2, 3], strides: [3, 1], elements: 6))
    #expect(try TorchCheckpoint.read(MadeFile.bytes(whole)).tensors.map(\.shape) == [[2, 3]])
    for n in 0..<whole.count { expectRefusal(["made.file: "]) { _ = try TorchCheckpoint.read(MadeFile.bytes(Array(whole[..<n]))) } }
  }
}

/// Whole files whose weights are not as they must be.
@Suite struct LoadingWeightProblemTests {
  private func store(_ tensors: [(name: String, values: [Float], shape: [Int])]) throws -> WeightStore {
    try WeightStore(Safetensors.read(MadeFile.bytes(MadeFile.safetensors(tensors))).tensors, label: "model")
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func numbersThatAreNone(_ value: Float) throws {
    for at in [0, 7, 99] {
      var values = [Float](repeating: 1, count: 100)
      values[at] = value
      let store = try store([("unet.a.weight", values, [10, 10])])
      #expect(store["unet"]["a"].take("weight", [10, 10]).isEmpty)
      expectRefusal(["1 tensor is not", "made.file: unet.a.weight: value \(at) is \(value), expected finite numbers"]) {
        try store.finish()
      }
    }
  }

  @Test func allProblemsAreCounted() throws {
    let store = try store([("unet.a.weight", [1, 2], [2])])
    #expect(store["unet"]["a"].take("weight", [3]).isEmpty)
    for i in 0..<11 { #expect(store["unet"][i].take("bias", [4]).isEmpty) }
    expectRefusal([
      "model: 12 tensors are not", "unet.a.weight: expected [3], found [2]", "unet.0.bias [4] is missing",
      "unet.8.bias [4] is missing; and 2 more",
      "must come from the same model",
    ]) { try store.finish() }
    #expect(throws: InputError.self) { try store.finish() }
  }

  @Test func wholeNumbersAreNoWeights() throws {
    let file = MadeFile.safetensors("{\"unet.a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", data: 8)
    let store = try WeightStore(Safetensors.read(MadeFile.bytes(file)).tensors, label: "model")
    #expect(store["unet"].take("a", [1]).isEmpty)
    expectRefusal(["unet.a: expected floating numbers, found I64"]) { try store.finish() }
  }

  @Test func aNameInTwoFiles() throws {
    let tensors = try Safetensors.read(MadeFile.bytes(MadeFile.safetensors([("a", [1], [1])]))).tensors
    expectRefusal(["made.file: a is there twice (also in made.file)"]) { _ = try WeightStore(tensors + tensors, label: "model") }
  }

  /// The embedded model under configs that do not fit it: every stage names what is wrong, nothing traps.
  @Test(arguments: [
    ("unet", "block_out_channels", "[64, 128, 256]", "expected [256, 128, 3, 3], found [192, 128, 3, 3]"),
    ("unet", "cross_attention_dim", "768", "attn2.to_k.weight: expected [64, 768], found [64, 128]"),
    ("unet", "layers_per_block", "16", "is missing; and"),
    ("vae", "latent_channels", "64", "vae.encoder.conv_out.weight: expected [128, 96, 3, 3], found [8, 96, 3, 3]"),
    ("text_encoder", "vocab_size", "10000000", "token_embedding.weight: expected [10000000, 128], found [680, 128]"),
    ("text_encoder", "num_hidden_layers", "256", "is missing; and"),
  ]) func anotherConfig(_ network: String, _ key: String, _ value: String, _ expected: String) throws {
    let folder = try TemporaryFolder()
    let model = try folder.copy(LoadingSafetensorsTests.model, "model")
    let url = model.appendingPathComponent("\(network)/config.json")
    var config = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
    config[key] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
    try JSONSerialization.data(withJSONObject: config).write(to: url)
    expectRefusal(["not as the config says", expected]) { _ = try StableDiffusion(model.path) }
  }
}
