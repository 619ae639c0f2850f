import Engine
import Foundation
import Testing

/// The lines of Swift in the README: they stand here as they stand there, compile without `@testable` and run.
@Suite struct ReadmeTests {
  @Test func linesOfSwift() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path + "/"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // README begins
    let model = try StableDiffusion()  // the model that comes with it; or a folder, a file, a hub name
    let site = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.probs"
    let probes = try Probes([site], sites: model.sites) { site, moment, tensor in
      if moment.step == 0 { print("\(site.path): \(tensor.shape), rows are \(moment.rows.map(\.half.rawValue))") }
      return nil  // only looks; a tensor would take its place
    }
    let request = GenerationRequest(prompt: "a red house at night", sampler: .dpmpp2M, steps: 20)
    let run = try model.denoising(request, probes: probes)
    while let step = try run.next() { print("step \(step.number + 1) of \(step.total)", terminator: "\r") }
    try Picture(model.decode(run.latents)).writePNG(to: URL(fileURLWithPath: folder + "house.png"))
    // README ends
    #expect(try Picture(url: URL(fileURLWithPath: folder + "house.png")).width == 64)

    let here = URL(fileURLWithPath: #filePath)
    let shown = try #require(
      String(contentsOf: here.appendingPathComponent("../../../README.md").standardizedFileURL, encoding: .utf8)
        .firstMatch(of: /(?s)```swift\nimport Engine\nimport Foundation\n\n(.*?)```/)?.1)
    let tested = try #require(
      String(contentsOf: here, encoding: .utf8).firstMatch(of: /(?s)\/\/ README begins\n(.*?) *\/\/ README ends/)?.1)
    let lines = tested.replacing("folder + ", with: "").split(separator: "\n").map { String($0.dropFirst(4)) }
    #expect(shown.split(separator: "\n").map(String.init) == lines)
  }
}
