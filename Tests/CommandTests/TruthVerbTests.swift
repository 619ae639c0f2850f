import Analysis
import Engine
import Foundation
import Testing

@Suite struct TruthVerbTests {
  private func league(_ result: Workplace.Result, _ kind: String) throws -> [String: Double] {
    let lines = try #require(try result.json()["league"] as? [[String: Any]]).filter { $0["kind"] as? String == kind }
    return try Dictionary(
      uniqueKeysWithValues: lines.map { (try #require($0["name"] as? String), try #require($0["iou"] as? Double)) })
  }

  /// The model that comes with the program knows where things are; the same network with random weights does not.
  @Test func aTrainedModelBesideARandomOne() throws {
    let place = try Workplace()
    let arguments = ["truth", "--scenes", "24", "--validation", "24", "--at", "200", "--information", "0", "-q", "--json", "-f"]
    let trained = try place.run(arguments + ["-o", "t.html", "--evidence", "t.json"])
    #expect(trained.code == 0 && trained.errors.isEmpty, "\(trained.errors)")
    let (methods, blind) = (try league(trained, "method"), try league(trained, "baseline"))
    let baseline = try #require(blind.values.max())
    #expect(blind.count == 4 && methods.count == 9)
    for name in ["DAAM", "sdlab", "P2P"] { #expect((methods[name] ?? 0) > baseline + 0.1, "\(name)") }
    let audits = try trained.json()["audits"] as? [[String: Any]]
    #expect(audits?.count == 40)
    let html = try String(contentsOf: place.url("t.html"), encoding: .utf8)
    for heading in ["The league of methods", "Noun by noun", "Layers, heads and steps", "What latents and h-space know"] {
      #expect(html.contains(heading))
    }
    #expect(try place.run("report", "check", "t.html").code == 0)
    // What heatmap and reports go by: of this model, and of no other.
    let written = try JSONSerialization.jsonObject(with: Data(contentsOf: place.url("t.json"))) as? [String: Any]
    let digest = try #require(written?["modelSha256"] as? String)
    let evidence = try #require(try TruthEvidence.stored(place.url("t.json"), modelSha256: digest))
    #expect(evidence.method("DAAM")?.words.isEmpty == false && !evidence.outputLayers.isEmpty)
    #expect(try TruthEvidence.stored(place.url("t.json"), modelSha256: "another") == nil)
    // The same again, to the last digit but for the time.
    let again = try place.run(arguments + ["-o", "t.html"])
    #expect(try league(again, "head") == league(trained, "head") && league(again, "method") == methods)

    let random = try place.run(arguments + ["-o", "r.html", "--model", Self.randomModel(in: place.url("random"))])
    #expect(random.code == 0, "\(random.errors)")
    let lost = try league(random, "method")
    let strangers = try league(random, "baseline")
    let theirs = try #require(strangers.values.max())
    for (name, iou) in lost { #expect(iou < theirs + 0.08, "\(name): \(iou), blind \(theirs)") }
  }

  /// The embedded model with the UNet's weights drawn anew: the spread of a usual initialisation, norms left at 1.
  private static func randomModel(in folder: URL) throws -> String {
    let files = FileManager.default
    let model = try Resources.embeddedModel()
    try files.copyItem(at: model, to: folder)
    let file = folder.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
    let stored = try Safetensors.read(file).tensors
    var random = TorchRandom(seed: 5)
    let tensors = stored.map { tensor -> (String, Safetensors.Value) in
      let count = tensor.shape.reduce(1, *)
      let inputs = Double(max(1, tensor.shape.dropFirst().reduce(1, *)))
      let values =
        tensor.shape.count > 1
        ? random.normal(count: count).map { Float(Double($0) / inputs.squareRoot()) }
        : [Float](repeating: tensor.name.hasSuffix("weight") ? 1 : 0, count: count)
      return (tensor.name, .raw(.float16, shape: tensor.shape, values.map { Float16($0) }.withUnsafeBytes { Data($0) }))
    }
    try files.removeItem(at: file)
    try Safetensors.write(tensors, to: file)
    return folder.path
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    for (arguments, words) in [
      (["--scenes", "3"], "--scenes 3"), (["--validation", "9999"], "--validation 9999"), (["--information", "-1"], "--information"),
      (["--at", "200,100"], "rising"), (["--at", "x"], "'x'"),
    ] {
      expectError(try place.run(["truth"] + arguments), 64, words)
    }
    expectError(try place.run("truth", "--scenes", "10", "--validation", "10", "--at", "1000", "-q"), 64, "timestep 1000")
    try Data().write(to: place.url("truth-42.html"))
    expectError(try place.run("truth"), 73, "truth-42.html")
    #expect(try place.run("truth", "--dry-run").output.contains("350 scenes"))
    #expect(try place.files() == ["truth-42.html"])
  }

  /// Where words are written: of a prompt, of its run, of an existing picture; and a run that did not keep it.
  @Test func heatmapsOfWhereWordsAreWritten() throws {
    let place = try Workplace()
    let made = try place.run(
      "heatmap", "a red house", "--method", "sdlab", "--steps", "3", "--sampler", "ddim", "--arrays", "maps", "-o", "h.png", "-q", "--json")
    #expect(made.code == 0 && made.errors.isEmpty, "\(made.errors)")
    let run = try #require(try made.json()["run"] as? String)
    let again = try place.run("heatmap", run, "--method", "sdlab", "--arrays", "again", "-o", "h2.png", "-q")
    #expect(again.code == 0, "\(again.errors)")
    let (a, b) = (try Npy.read(place.url("maps/house.npy")).float32(), try Npy.read(place.url("again/house.npy")).float32())
    #expect(a == b && a.count == 256 && (a.min() ?? -1) >= 0 && (a.max() ?? 0) > 0)
    // Other layers, another map.
    #expect(try place.run("heatmap", run, "--method", "sdlab", "--layers", "up", "--arrays", "up", "-o", "h3.png", "-q").code == 0)
    #expect(try Npy.read(place.url("up/house.npy")).float32() != a)
    #expect(try place.run("generate", "a red house", "--steps", "3", "-o", "p.png", "-q").code == 0)
    let existing = try place.run("heatmap", "a red house", "--method", "sdlab", "--image", "p.png", "-o", "e.png", "-q")
    #expect(existing.code == 0, "\(existing.errors)")
    let plain = try place.run("trace", "a red house", "--steps", "2", "--sampler", "ddim", "-q", "--sites", "unet.*.attn2.probs")
    expectError(
      try place.run("heatmap", try #require(plain.lines.first), "--method", "sdlab", "-o", "x.png"), 64, "attn2.contribution")
    expectError(try place.run("heatmap", run, "--method", "sdlab", "--layers", "3x3", "-o", "x.png"), 64, "3x3")
  }
}
