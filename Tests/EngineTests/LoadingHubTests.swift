import Foundation
import Testing

@testable import Engine

/// Models as they lie on the disk: folders, the hub's cache, tokenizers beside and elsewhere. Never the network.
@Suite struct LoadingHubTests {
  static let tiny = LoadingSingleFileTests.tiny
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// `models--org--name` as huggingface_hub keeps it: a reference and a snapshot of links.
  private func cache(
    _ model: String, as name: String, in root: String = "hub", reference: String? = "c0ffee\n", snapshot: String = "c0ffee"
  ) throws {
    let base = "\(root)/models--" + name.replacingOccurrences(of: "/", with: "--")
    if let reference { try folder.write(Array(reference.utf8), "\(base)/refs/main") }
    let snapshots = folder.url.appendingPathComponent("\(base)/snapshots")
    try FileManager.default.createDirectory(at: snapshots, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      at: snapshots.appendingPathComponent(snapshot), withDestinationURL: Self.tiny.appendingPathComponent(model))
  }

  private func resolve(_ name: String, _ environment: [String: String], vae: String? = nil) throws -> ModelSource {
    try ModelSource.resolve(name, vae: vae, environment: ["HOME": folder.path].merging(environment) { $1 })
  }

  @Test func hit() throws {
    try cache("v1", as: "Org/tiny-v1", in: "a")
    try cache("v2", as: "org/tiny.v2", in: "home/hub", reference: nil)
    try cache("lcm", as: "org/lcm", in: ".cache/huggingface/hub")
    try cache("odd", as: "org/odd", in: "xdg/huggingface/hub")
    let v1 = try resolve("Org/tiny-v1", ["HF_HUB_CACHE": folder.path + "/a"])
    #expect(v1.displayName == "Org/tiny-v1")
    #expect(v1.files.allSatisfy { FileManager.default.isReadableFile(atPath: $0.path) })
    #expect(try resolve("org/tiny.v2", ["HF_HOME": folder.path + "/home"]).displayName == "org/tiny.v2")
    #expect(try resolve("org/odd", ["XDG_CACHE_HOME": folder.path + "/xdg"]).displayName == "org/odd")
    #expect(try resolve("org/lcm", [:]).displayName == "org/lcm")
    #expect(try resolve("Org/tiny-v1", ["HUGGINGFACE_HUB_CACHE": "~/a"]).displayName == "Org/tiny-v1")
  }

  @Test func earlierFoldersWin() throws {
    try cache("v1", as: "org/m", in: "a")
    try cache("v2", as: "org/m", in: "home/hub")
    let source = try resolve("org/m", ["HF_HOME": folder.path + "/home", "HF_HUB_CACHE": folder.path + "/a"])
    #expect(try source.schedulerConfig.string("prediction_type", "epsilon") == "epsilon")
    #expect(try resolve("org/m", ["HF_HOME": folder.path + "/home"]).schedulerConfig.string("prediction_type", "") == "v_prediction")
  }

  @Test func missNamesFoldersAndNeighbours() throws {
    try cache("v1", as: "runwayml/stable-diffusion-v1-5")
    try cache("v1", as: "somebody/else")
    let environment = ["HF_HUB_CACHE": folder.path + "/hub"]
    expectRefusal(
      [
        "runwayml/stable-difusion-v1-5: neither a file nor in the local Hugging Face cache", folder.path + "/hub",
        folder.path + "/.cache/huggingface/hub", "did you mean runwayml/stable-diffusion-v1-5?",
        "hf download runwayml/stable-difusion-v1-5",
      ], .missing
    ) { _ = try resolve("runwayml/stable-difusion-v1-5", environment) }
    do {
      _ = try resolve("x/y", environment)
    } catch { #expect(!"\(error)".contains("did you mean")) }
  }

  @Test func incompleteCache() throws {
    let environment = ["HF_HUB_CACHE": folder.path + "/hub"]
    try cache("v1", as: "org/gone", reference: "deadbeef")
    expectRefusal(["org/gone: incomplete in the local cache", "snapshots/deadbeef is missing", "download it again"], .missing) {
      _ = try resolve("org/gone", environment)
    }
    // A reference cannot lead out of the cache.
    try cache("v1", as: "org/evil", reference: "../../..")
    try cache("v2", as: "org/evil", reference: nil, snapshot: "second")
    expectRefusal(["org/evil: incomplete in the local cache", "refs/main"], .missing) { _ = try resolve("org/evil", environment) }
    // The configs came, the weights did not.
    let partial = "hub/models--org--partial/snapshots/c0ffee"
    try folder.write(Array("c0ffee".utf8), "hub/models--org--partial/refs/main")
    expectRefusal(["org/partial"], .missing) { _ = try resolve("org/partial", environment) }
    for part in ["unet/config.json", "vae", "text_encoder", "tokenizer"] {
      try folder.copy(Self.tiny.appendingPathComponent("v1/\(part)"), "\(partial)/\(part)")
    }
    expectRefusal([partial, "missing scheduler/scheduler_config.json", "a whole diffusers folder"], .missing) {
      _ = try resolve("org/partial", environment)
    }
    try folder.copy(Self.tiny.appendingPathComponent("v1/scheduler"), "\(partial)/scheduler")
    expectRefusal(["unet: no weights (sought diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"], .missing) {
      _ = try resolve("org/partial", environment)
    }
  }

  @Test func pathsThatLeadNowhere() throws {
    try folder.write([], "model-final.safetensors")
    expectRefusal(["model-finel.safetensors: no such file or folder; did you mean model-final.safetensors?"], .missing) {
      _ = try resolve(folder.path + "/model-finel.safetensors", [:])
    }
    expectRefusal(["at least 8 bytes, found 0"]) { _ = try resolve(folder.path + "/model-final.safetensors", [:]) }
    for name in ["", "a", "a/b/c", "../x", "/", "org/na me"] { expectRefusal([], .missing) { _ = try resolve(name, [:]) } }
  }

  // MARK: - Folders

  /// Every way in which the tiny models are stored loads, and nothing is left over but what nobody needs.
  @Test(arguments: ["v1", "v2", "lcm", "inpaint", "odd"]) func everyLayoutLoads(_ name: String) throws {
    let model = try StableDiffusion(ModelSource.resolve(Self.tiny.appendingPathComponent(name).path))
    #expect(model.warnings.isEmpty)
  }

  private func copied(_ name: String) throws -> URL { try folder.copy(Self.tiny.appendingPathComponent(name), "m") }

  @Test func shards() throws {
    let model = try copied("v2")
    let index = model.appendingPathComponent("unet/diffusion_pytorch_model.safetensors.index.json")
    let second = model.appendingPathComponent("unet/diffusion_pytorch_model-00002-of-00002.safetensors")
    #expect(try ModelSource.resolve(model.path).files.filter { $0.path.contains("/unet/") }.count == 2)
    let text = try String(contentsOf: index, encoding: .utf8)
    func refusal(_ changed: String, _ expected: String...) throws {
      try changed.write(to: index, atomically: true, encoding: .utf8)
      expectRefusal([index.path] + expected) { _ = try ModelSource.resolve(model.path) }
    }
    try refusal(text.replacingOccurrences(of: "-00002-of", with: "-00001-of"), "tensors are not in the file that it names")
    try refusal(
      text.replacingOccurrences(of: "diffusion_pytorch_model-00002", with: "../x"), "names of files in the same folder, found ../x")
    try refusal("[]", "expected JSON with a weight_map")
    try refusal("{\"weight_map\": {}}", "expected JSON with a weight_map")
    try refusal(String(text.dropLast(10)), "expected JSON with a weight_map")
    try text.write(to: index, atomically: true, encoding: .utf8)
    try FileManager.default.removeItem(at: second)
    expectRefusal([second.path, "No such file"], .missing) { _ = try ModelSource.resolve(model.path) }
  }

  @Test func variants() throws {
    let model = try copied("inpaint")
    // Nothing but fp16 is there: it is taken without being asked for.
    #expect(try ModelSource.resolve(model.path).files.allSatisfy { $0.lastPathComponent.contains(".fp16.") })
    #expect(try ModelSource.resolve(model.path, variant: "fp16").files.count == 3)
    expectRefusal(["text_encoder: no weights (sought model.bf16.safetensors", "leave the variant out, or download it"], .missing) {
      _ = try ModelSource.resolve(model.path, variant: "bf16")
    }
    let half = model.appendingPathComponent("unet/diffusion_pytorch_model.fp16.safetensors")
    try FileManager.default.copyItem(at: half, to: model.appendingPathComponent("unet/diffusion_pytorch_model.other.safetensors"))
    expectRefusal(["unet: no weights", "only variants are there: fp16, other"], .missing) { _ = try ModelSource.resolve(model.path) }
    // The plain file goes before a variant.
    let plain = model.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
    try FileManager.default.copyItem(at: half, to: plain)
    #expect(try ModelSource.resolve(model.path).files.contains { $0.lastPathComponent == plain.lastPathComponent })
  }

  @Test func anotherVAE() throws {
    let model = Self.tiny.appendingPathComponent("v1")
    let own = try ModelSource.resolve(model.path)
    let name = "vae.decoder.conv_in.weight"
    func numbers(_ source: ModelSource) throws -> [Float] { try #require(source.weights.tensors[name]).float32().array }
    let lcm = Self.tiny.appendingPathComponent("lcm")
    let other = try numbers(ModelSource.resolve(lcm.path))
    #expect(try numbers(own) != other)
    for vae in [lcm, lcm.appendingPathComponent("vae")] {
      let source = try ModelSource.resolve(model.path, vae: vae.path)
      #expect(try numbers(source) == other)
      _ = try StableDiffusion(source)
    }
    // A model's single file, and a VAE alone under CompVis' and under diffusers' names.
    let single = try Safetensors.read(Self.tiny.appendingPathComponent("v2.safetensors")).tensors
    func raw(_ t: StoredTensor) -> Safetensors.Value { .raw(t.dtype, shape: t.shape, Data(t.bytes.all[t.offset..<t.offset + t.byteCount])) }
    let prefix = "first_stage_model."
    let alone = single.filter { $0.name.hasPrefix(prefix) }.map { (name: String($0.name.dropFirst(prefix.count)), value: raw($0)) }
    let compVis = folder.url.appendingPathComponent("compvis.safetensors")
    try Safetensors.write(alone, to: compVis)
    let wanted = try numbers(ModelSource.resolve(Self.tiny.appendingPathComponent("v2").path))
    let files = [
      Self.tiny.appendingPathComponent("v2.safetensors"), compVis,
      Self.tiny.appendingPathComponent("v2/vae/diffusion_pytorch_model.safetensors"),
    ]
    for file in files { #expect(try numbers(ModelSource.resolve(model.path, vae: file.path)) == wanted, "\(file.lastPathComponent)") }
    expectRefusal(["config.json"], .missing) { _ = try ModelSource.resolve(model.path, vae: folder.path) }
    expectRefusal(["nowhere: no such file or folder"], .missing) { _ = try ModelSource.resolve(model.path, vae: "/nowhere") }
  }

  // MARK: - Tokenizer

  @Test func tokenizerOfAFolder() throws {
    let model = try copied("v1")
    let own = model.appendingPathComponent("tokenizer")
    #expect(try ModelSource.resolve(model.path).tokenizerDirectory.path == own.path)
    try FileManager.default.removeItem(at: own)
    expectRefusal(["m/tokenizer: expected vocab.json and merges.txt, or tokenizer.json", "--tokenizer DIR"], .missing) {
      _ = try ModelSource.resolve(model.path)
    }
    let given = Self.tiny.appendingPathComponent("v2/tokenizer")
    #expect(try ModelSource.resolve(model.path, tokenizer: given.path).tokenizerDirectory.path == given.path)
    #expect(
      try ModelSource.resolve(model.path, tokenizer: Self.tiny.appendingPathComponent("v2").path).tokenizerDirectory.path == given.path)
    expectRefusal(["unet: expected vocab.json"], .missing) {
      _ = try ModelSource.resolve(model.path, tokenizer: Self.tiny.appendingPathComponent("v2/unet").path)
    }
    // Newer folders have tokenizer.json alone.
    try folder.write(Array("{}".utf8), "m/tokenizer/tokenizer.json")
    #expect(try ModelSource.resolve(model.path).tokenizerDirectory.path == own.path)
    expectRefusal(["tokenizer"]) { _ = try StableDiffusion(model.path) }
  }

  @Test func tokenizerOfASingleFile() throws {
    let file = try folder.copy(Self.tiny.appendingPathComponent("v1.safetensors"), "models/v1.safetensors")
    let environment = ["HF_HUB_CACHE": folder.path + "/hub"]
    expectRefusal(["a single file carries no tokenizer", "put CLIP's vocab.json and merges.txt beside the file"], .missing) {
      _ = try resolve(file.path, environment)
    }
    try cache("v2", as: "some/model")
    #expect(try resolve(file.path, environment).tokenizerDirectory.path.hasSuffix("models--some--model/snapshots/c0ffee/tokenizer"))
    // CLIP's own comes first, and what lies beside the file before it.
    try cache("lcm/tokenizer", as: "openai/clip-vit-large-patch14")
    #expect(try resolve(file.path, environment).tokenizerDirectory.path.contains("openai--clip"))
    try folder.copy(Self.tiny.appendingPathComponent("v1/tokenizer"), "models/tokenizer")
    #expect(try resolve(file.path, environment).tokenizerDirectory.path == folder.path + "/models/tokenizer")
    for name in ["vocab.json", "merges.txt"] { try folder.copy(Self.tiny.appendingPathComponent("v1/tokenizer/\(name)"), "models/\(name)") }
    #expect(try resolve(file.path, environment).tokenizerDirectory.path == folder.path + "/models")
  }

  // MARK: - Resources

  @Test func programWithoutItsResources() throws {
    let program = folder.url.appendingPathComponent("bin/sdlab")
    expectRefusal(["resource scenes-model is not in SDLAB_RESOURCES (/nowhere)", "set SDLAB_RESOURCES to it"], .missing) {
      _ = try Resources.url("scenes-model", environment: ["SDLAB_RESOURCES": "/nowhere"], executable: program)
    }
    expectRefusal(["resource no-such-model not found in \(folder.path)/bin/sdlab_resources"], .missing) {
      _ = try Resources.url("no-such-model", environment: [:], executable: program)
    }
    try folder.write([], "bin/Resources/thing")
    #expect(try Resources.url("thing", environment: [:], executable: program).path == folder.path + "/bin/Resources/thing")
  }
}
