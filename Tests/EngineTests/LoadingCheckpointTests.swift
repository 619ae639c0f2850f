import Foundation
import TestSupport
import Testing

@testable import Engine

private func rows(_ tensors: [StoredTensor]) throws -> [String: [Float]] {
  try Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, try $0.float32().array) })
}

/// What torch and safetensors wrote (Tests/Goldens/loading), value for value.
@Suite struct LoadingCheckpointTests {
  static let folder = Golden.folder.appendingPathComponent("loading")
  struct Expected: Decodable {
    let shape: [Int]
    let values: [Double]
  }

  /// Every type, strides of every kind, storages that are shared, subnormal halves.
  @Test(arguments: ["protocol2.bin", "protocol3.bin", "protocol4.bin", "protocol5.bin", "training.ckpt", "types.safetensors"])
  func values(_ file: String) throws {
    let expected = try Golden.json("loading/values.json", as: [String: Expected].self)
    let tensors = try WeightFiles.read(Self.folder.appendingPathComponent(file)).tensors
    #expect(Set(tensors.map(\.name)) == Set(expected.keys).union(["ids", "flags"]))
    for tensor in tensors {
      guard let wanted = expected[tensor.name] else {
        expectRefusal(["\(tensor.name): expected floating numbers"]) { _ = try tensor.float32() }
        continue
      }
      #expect(tensor.shape == wanted.shape, "\(tensor.name)")
      #expect(try tensor.float32().array == wanted.values.map(Float.init), "\(tensor.name)")
    }
  }

  @Test func whatSurroundsTheWeights() throws {
    #expect(try TorchCheckpoint.read(Self.folder.appendingPathComponent("training.ckpt")).globalStep == 875_000)
    #expect(try TorchCheckpoint.read(Self.folder.appendingPathComponent("protocol2.bin")).globalStep == nil)
    #expect(try Safetensors.read(Self.folder.appendingPathComponent("types.safetensors")).metadata == ["format": "pt", "note": "é\n\"x\""])
    expectRefusal(["evil.ckpt: pickle: refused: global posix.system"]) {
      _ = try TorchCheckpoint.read(Self.folder.appendingPathComponent("evil.ckpt"))
    }
    expectRefusal(["expected a dictionary of tensors"]) {
      _ = try WeightFiles.read(Self.folder.appendingPathComponent("no-dictionary.ckpt"))
    }
  }

  /// As torch wrote before 1.6: pickles and storages one behind the other; cut anywhere, it is refused.
  @Test func beforeZip() throws {
    let file = Self.folder.appendingPathComponent("legacy.ckpt")
    let expected = try Golden.json("loading/values.json", as: [String: Expected].self)
    let tensors = try WeightFiles.read(file).tensors
    #expect(tensors.map(\.name) == ["f32"])
    #expect(try tensors[0].float32().array == expected["f32"]?.values.map(Float.init))
    let bytes = [UInt8](try Data(contentsOf: file))
    for count in stride(from: 16, to: bytes.count, by: 7) {
      expectRefusal([count < bytes.count ? "made.file: " : ""]) {
        _ = try TorchCheckpoint.read(MadeFile.bytes(Array(bytes[..<count])))
      }
    }
  }

  // MARK: - Names

  struct Names: Decodable {
    let names: [String]
    let pairs: [Pair]
    struct Pair: Decodable {
      let stored: String
      let third: Int
      let canonical: String
      init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        (stored, third, canonical) = (try list.decode(String.self), try list.decode(Int.self), try list.decode(String.self))
      }
    }
  }

  /// diffusers' own converters on the names of whole single files.
  @Test(arguments: ["sd2", "odd"]) func namesAsDiffusersHasThem(_ label: String) throws {
    let file = try #require(Golden.json("loading/names.json", as: [String: Names].self)[label])
    let layout = KeyMap.Layout(file.names)
    var left = Set(file.names)
    for pair in file.pairs {
      left.remove(pair.stored)
      let text = "text_encoder."
      let expected =
        pair.canonical.hasPrefix(text) && !pair.canonical.hasPrefix(text + "text_model.")
        ? text + "text_model." + pair.canonical.dropFirst(text.count) : pair.canonical
      switch KeyMap.canonical(pair.stored, layout) {
      case .one(let name): #expect(name == expected)
      case .thirds(let names): #expect(names[pair.third] == expected)
      default: Issue.record("\(pair.stored) is lost")
      }
    }
    for name in left {
      switch KeyMap.canonical(name, layout) {
      case .unused: break
      case .one(let canonical): #expect(canonical.hasSuffix("position_ids") || canonical.hasSuffix("text_projection.weight"), "\(name)")
      default: Issue.record("\(name) goes where it should not")
      }
    }
  }

  // MARK: - Conversions

  @Test func everyHalf() {
    let bits = (0...UInt16.max).map { $0 }
    let numbers = bits.filter { Float16(bitPattern: $0).isFinite }
    expectConverted(numbers.flatMap { MadeFile.little($0) }, .float16, numbers.map { Float(Float16(bitPattern: $0)).bitPattern })
    for b in bits where !Float16(bitPattern: b).isFinite { expectRefused(MadeFile.little(b), .float16) }
  }

  @Test func everyBFloat() {
    let numbers = (0...UInt16.max).filter { Float(bitPattern: UInt32($0) << 16).isFinite }
    expectConverted(numbers.flatMap { MadeFile.little($0) }, .bfloat16, numbers.map { UInt32($0) << 16 })
    for b: UInt16 in [0x7f80, 0xff80, 0x7fc0, 0xffff] { expectRefused(MadeFile.little(b), .bfloat16) }
  }

  @Test func doubles() {
    let values: [Double] = [0, -0.0, 1, -2.5, 0.1, 1 + 0x1p-24, 1 + 0x1.8p-23, 1e-40, 1e-300, -1e-46, 3.4028234663852886e38, .pi]
    expectConverted(values.flatMap { MadeFile.little($0.bitPattern) }, .float64, values.map { Float($0).bitPattern })
    for v: Double in [.nan, .infinity, 1e39] { expectRefused(MadeFile.little(v.bitPattern), .float64) }
  }

  @Test func floatsAreAView() throws {
    let values: [Float] = [0, -0.0, .leastNonzeroMagnitude, -.greatestFiniteMagnitude, 1, 2, 3, 4, 5]
    let bytes = values.flatMap { MadeFile.little($0.bitPattern) }
    expectConverted(bytes, .float32, values.map(\.bitPattern))
    let file = MadeFile.bytes(bytes)
    let tensor = try StoredTensor(name: "t", dtype: .float32, shape: [values.count], bytes: file, offset: 0).float32()
    #expect(UnsafeRawPointer(tensor.data) == file.base)
    #expect(!tensor.storage.isWritable)
  }

  /// At every alignment, as the data of a safetensors file may begin anywhere.
  private func expectConverted(_ bytes: [UInt8], _ dtype: DType, _ expected: [UInt32], location: SourceLocation = #_sourceLocation) {
    for offset in [0, 1, 2, 7] {
      let file = MadeFile.bytes([UInt8](repeating: 0, count: offset) + bytes)
      let tensor = try? StoredTensor(name: "t", dtype: dtype, shape: [expected.count], bytes: file, offset: offset).float32()
      #expect(tensor?.array.map(\.bitPattern) == expected, sourceLocation: location)
    }
  }

  private func expectRefused(_ value: [UInt8], _ dtype: DType, location: SourceLocation = #_sourceLocation) {
    for (count, at) in [(1, 0), (9, 3), (9, 8)] {
      var bytes = [UInt8](repeating: 0, count: count * value.count)
      bytes.replaceSubrange(at * value.count..<(at + 1) * value.count, with: value)
      let tensor = StoredTensor(name: "t", dtype: dtype, shape: [count], bytes: MadeFile.bytes(bytes), offset: 0)
      expectRefusal(["made.file: t: value \(at) is", "expected finite numbers"], location: location) { _ = try tensor.float32() }
    }
  }
}

/// Single files and the configs that are made up for them.
@Suite struct LoadingSingleFileTests {
  static let tiny = Golden.folder.appendingPathComponent("tiny")
  private var tokenizer: String { Self.tiny.appendingPathComponent("v1/tokenizer").path }

  @Test(arguments: ["v1", "v2"]) func holdWhatTheFolderHolds(_ name: String) throws {
    let folder = try rows(
      ModelSource.resolve(Self.tiny.appendingPathComponent(name).path).weights.tensors.values.filter { $0.dtype.isFloating })
    for ending in ["safetensors", "ckpt"] {
      let source = try ModelSource.resolve(Self.tiny.appendingPathComponent("\(name).\(ending)").path, tokenizer: tokenizer)
      let file = try rows(source.weights.tensors.values.filter { $0.dtype.isFloating })
      #expect(Set(folder.keys).isSubset(of: file.keys), "\(ending)")
      for (key, values) in folder { #expect(file[key] == values, "\(ending) \(key)") }
      #expect(Set(file.keys).subtracting(folder.keys).allSatisfy { $0.hasSuffix("text_projection.weight") })
      #expect(source.warnings.count == 1 && source.warnings[0].contains("tensors outside of the three networks are not used"))
      #expect(source.padToken == (name == "v2" ? "!" : "<|endoftext|>"))
    }
  }

  @Test func movingAverage() throws {
    let folder = try TemporaryFolder()
    let stored = try Safetensors.read(Self.tiny.appendingPathComponent("v1.safetensors")).tensors
    func raw(_ t: StoredTensor) -> Safetensors.Value { .raw(t.dtype, shape: t.shape, Data(t.bytes.all[t.offset..<t.offset + t.byteCount])) }
    func twice(_ t: StoredTensor) throws -> Safetensors.Value { .tensor(Tensor(try t.float32().array.map { 2 * $0 }, Shape(t.shape))) }
    let own = stored.map { (name: $0.name, value: raw($0)) }
    let averages = try stored.compactMap { t in try KeyMap.emaName(t.name).map { (name: $0, value: try twice(t)) } }
    #expect(averages.contains { $0.name == "model_ema.diffusion_modelinput_blocks00weight" })
    let counter = [(name: "model_ema.decay", value: Safetensors.Value.tensor(Tensor([0.9999], [1])))]
    let url = folder.url.appendingPathComponent("m.safetensors")
    try Safetensors.write(own + averages + counter, to: url)

    let plain = try ModelSource.resolve(url.path, tokenizer: tokenizer)
    let ema = try ModelSource.resolve(url.path, tokenizer: tokenizer, ema: true)
    #expect(plain.warnings.contains { $0.contains("model_ema \(averages.count + 1)") })
    #expect(ema.warnings.contains { $0.contains("model_ema 1") })
    let (a, b) = (
      try rows(plain.weights.tensors.values.filter { $0.dtype.isFloating }),
      try rows(ema.weights.tensors.values.filter { $0.dtype.isFloating })
    )
    for (name, values) in a { #expect(b[name] == (name.hasPrefix("unet.") ? values.map { 2 * $0 } : values), "\(name)") }

    try Safetensors.write(own + averages.dropFirst(), to: url)
    expectRefusal([averages[0].name, "is missing, the moving average of model.diffusion_model."]) {
      _ = try ModelSource.resolve(url.path, tokenizer: tokenizer, ema: true)
    }
    expectRefusal(["has no model_ema weights", "leave --ema out"], .usage) {
      _ = try ModelSource.resolve(Self.tiny.appendingPathComponent("v1.ckpt").path, tokenizer: tokenizer, ema: true)
    }
    expectRefusal(["a folder has no model_ema weights"], .usage) {
      _ = try ModelSource.resolve(Self.tiny.appendingPathComponent("v1").path, ema: true)
    }
  }

  @Test func otherCheckpointsAreRefused() throws {
    let folder = try TemporaryFolder()
    let lora = try folder.write(MadeFile.safetensors([("lora_unet_down.lora_up.weight", [1], [1])]), "lora.safetensors")
    expectRefusal(["\(lora.path): expected a UNet", "a Stable Diffusion 1 or 2 checkpoint"]) {
      _ = try ModelSource.resolve(lora.path, tokenizer: tokenizer)
    }
    let flat = try folder.write(
      MadeFile.safetensors([
        ("model.diffusion_model.input_blocks.0.0.weight", [1], [1]), ("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", [1], []),
      ]), "flat.safetensors")
    expectRefusal(["unet.down_blocks.0.resnets.0.conv1.weight: unexpected shape []"]) {
      _ = try ModelSource.resolve(flat.path, tokenizer: tokenizer)
    }
  }

  /// Shapes only: nothing of these tensors is ever read.
  private func shapes(textWidth: Int, inputs: Int) -> ConfigInference {
    let nothing = MadeFile.bytes([])
    let all: [(String, [Int])] = [
      ("unet.conv_in.weight", [320, inputs, 3, 3]), ("unet.conv_out.weight", [4, 320, 3, 3]),
      ("unet.down_blocks.0.resnets.0.conv1.weight", [320, 320, 3, 3]), ("unet.down_blocks.0.resnets.1.conv1.weight", [320, 320, 3, 3]),
      ("unet.down_blocks.0.attentions.0.norm.weight", [320]), ("unet.up_blocks.0.attentions.0.norm.weight", [320]),
      ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", [320, textWidth]),
    ]
    return ConfigInference(all.map { StoredTensor(name: $0.0, dtype: .float32, shape: $0.1, bytes: nothing, offset: 0) }, label: "m")
  }

  @Test(
    arguments: [
      (768, 4, nil, "epsilon", 64, [8]), (768, 9, nil, "epsilon", 64, [8]), (1024, 4, nil, "v_prediction", 96, [5]),
      (1024, 4, 110_000, "v_prediction", 96, [5]), (1024, 4, 875_000, "epsilon", 64, [5]), (1024, 9, nil, "epsilon", 64, [5]),
    ] as [(Int, Int, Int?, String, Int, [Int])])
  func whatShapesTell(_ textWidth: Int, _ inputs: Int, _ step: Int?, _ prediction: String, _ side: Int, _ heads: [Int]) throws {
    let inference = shapes(textWidth: textWidth, inputs: inputs)
    #expect(try inference.scheduler(globalStep: step).string("prediction_type", "") == prediction)
    let unet = try UNetConfig(inference.unet(globalStep: step))
    #expect(unet.sampleHeight == side && unet.sampleWidth == side && unet.heads == heads && unet.inChannels == inputs)
    #expect(unet.crossAttentionDim == textWidth && unet.layersPerBlock == [2] && unet.blockOutChannels == [320])
  }
}

@Suite struct LoadingWriterTests {
  @Test func roundTrip() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("t.safetensors")
    let values: [Float] = [1, -0.0, .leastNonzeroMagnitude, 3e38, -7, 0.1]
    let metadata = ["a \"b\"\\": "é\n\u{1}\u{7f}😀", "": ""]
    try Safetensors.write(
      [
        ("a", .tensor(Tensor(values, [2, 3]))), ("é \"\n", .raw(.float16, shape: [3], Data([0, 0x3c, 1, 0, 0xff, 0x7b]))),
        ("none", .tensor(Tensor([], [0, 4]))), ("one", .tensor(Tensor([5], []))), ("odd", .raw(.uint8, shape: [3], Data([1, 2, 3]))),
      ], metadata: metadata, to: url)
    let read = try Safetensors.read(url)
    #expect(read.metadata == metadata)
    #expect(read.tensors.first?.offset.isMultiple(of: 8) == true)
    let tensors = Dictionary(uniqueKeysWithValues: read.tensors.map { ($0.name, $0) })
    #expect(tensors.mapValues(\.shape) == ["a": [2, 3], "é \"\n": [3], "none": [0, 4], "one": [], "odd": [3]])
    #expect(try tensors["a"]?.float32().array.map(\.bitPattern) == values.map(\.bitPattern))
    #expect(try tensors["é \"\n"]?.float32().array == [1, 0x1p-24, 65504])
    #expect(try tensors["one"]?.float32().array == [5])
    #expect(folder.names == ["t.safetensors"])
  }

  @Test func failuresLeaveNothingBehind() throws {
    let folder = try TemporaryFolder()
    let tensors = [(name: "a", tensor: Tensor([1, 2], [2]))]
    let old = try folder.write([1, 2, 3], "t.safetensors")
    expectRefusal(["/dev/full: cannot be written: No space left", "make room on the disk"], .cannotWrite) {
      try Safetensors.write(tensors, to: URL(fileURLWithPath: "/dev/full"))
    }
    // A disk that is full after ten bytes.
    var room = 10
    expectRefusal(["t.safetensors: cannot be written: No space left"], .cannotWrite) {
      try AtomicFile.write(
        to: old,
        through: { descriptor, bytes, count in
          let n = min(room, count)
          room -= n
          if n == 0 { errno = ENOSPC }
          return n == 0 ? -1 : write(descriptor, bytes, n)
        }, { try $0.write("more than ten bytes") })
    }
    #expect(try Data(contentsOf: old) == Data([1, 2, 3]))
    expectRefusal(["nowhere/t.safetensors: cannot be written: No such file", "make the folder first"], .cannotWrite) {
      try Safetensors.write(tensors, to: folder.url.appendingPathComponent("nowhere/t.safetensors"))
    }
    expectRefusal(["cannot be written: Is a directory", "name a file"], .cannotWrite) { try Safetensors.write(tensors, to: folder.url) }
    #expect(folder.names == ["t.safetensors"])
  }

  /// The superuser may write everywhere.
  @Test(.enabled(if: getuid() != 0)) func noPermission() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: folder.path)
    expectRefusal(["t.safetensors: cannot be written: Permission denied", "choose another folder"], .cannotWrite) {
      try Safetensors.write([(name: "a", tensor: Tensor([1], [1]))], to: folder.url.appendingPathComponent("t.safetensors"))
    }
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path)
    #expect(folder.names.isEmpty)
  }
}
