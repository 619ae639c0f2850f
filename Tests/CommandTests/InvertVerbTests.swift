import Engine
import Foundation
import Testing

@Suite struct InvertVerbTests {
  private func house(_ place: borrowing Workplace) throws {
    #expect(try place.run("generate", "a red house", "--sampler", "ddim", "--steps", "6", "-q", "-o", "house.png").code == 0)
  }

  @Test func goesToNoiseAndBack() throws {
    let place = try Workplace()
    try house(place)
    try FileManager.default.createDirectory(at: place.url("p"), withIntermediateDirectories: true)
    let result = try place.run(
      "invert", "house.png", "--prompt", "a red house", "--steps", "5", "--arrays", "n.safetensors", "--pictures", "p", "--curve", "3,8",
      "-o", "i.png", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let back = try #require(json["reconstruction"] as? [String: Any])
    let vae = try #require(json["vae_picture_psnr"] as? Double)
    #expect(try #require(back["latent_mse"] as? Double) > 1e-6 && vae > 20 && (try #require(back["picture_psnr"] as? Double)) < vae + 1)
    #expect((json["curve"] as? [[String: Any]])?.map { $0["steps"] as? Int } == [3, 8] && json["guidance"] as? Double == 1)
    #expect(try Picture(url: place.url("i.png")).width > 300)
    // The noise is one that `generate` takes: it makes the reconstruction of it.
    #expect(
      try place.run(
        "generate", "a red house", "--init-latents", "n.safetensors", "--sampler", "ddim", "--steps", "5", "--guidance", "1", "-q", "-o",
        "again.png"
      ).code == 0)
    #expect(try Picture(url: place.url("again.png")) == Picture(url: place.url("p/reconstruction.png")))
    let stored = try Safetensors.read(place.url("n.safetensors"))
    #expect(Set(stored.tensors.map(\.name)) == ["latents", "trajectory"] && stored.metadata["prompt"] == "a red house")
    #expect(stored.tensors.first { $0.name == "trajectory" }?.shape == [6, 4, 16, 16])
  }

  @Test func editFriendlyLosesNothingButTheVAEsShare() throws {
    let place = try Workplace()
    try house(place)
    try FileManager.default.createDirectory(at: place.url("p"), withIntermediateDirectories: true)
    let result = try place.run(
      "invert", "house.png", "--method", "edit-friendly", "--steps", "5", "--edit", "a blue boat on the sea", "--arrays", "n.safetensors",
      "--pictures", "p", "-o", "i.svg", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let back = try #require(json["reconstruction"] as? [String: Any])
    #expect(try #require(back["latent_mse"] as? Double) < 1e-9)
    #expect(abs(try #require(back["picture_psnr"] as? Double) - (try #require(json["vae_picture_psnr"] as? Double))) < 0.1)
    #expect(try Picture(url: place.url("p/edit.png")) != Picture(url: place.url("p/vae.png")))
    let stored = try Safetensors.read(place.url("n.safetensors")).tensors
    #expect(stored.first { $0.name == "z" }?.shape == [5, 4, 16, 16] && stored.contains { $0.name == "remainder" })
    let text = try place.run("invert", "house.png", "--steps", "2", "-o", "t.png", "-q")
    #expect(text.output.contains("VAE alone") && text.lines.last == "t.png", "\(text.output)")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    try house(place)
    expectError(try place.run("invert", "none.png"), 66, "none.png")
    try Data("no picture".utf8).write(to: place.url("bad.png"))
    expectError(try place.run("invert", "bad.png"), 65, "bad.png")
    expectError(try place.run("invert", "house.png", "--sampler", "euler"), 64, "--sampler euler", "ddim")
    expectError(try place.run("invert", "house.png", "--eta", "0.5"), 64, "--eta")
    expectError(try place.run("invert", "house.png", "--width", "63"), 64, "--width 63", "64")
    expectError(try place.run("invert", "house.png", "--skip", "3"), 64, "--skip", "--edit")
    expectError(try place.run("invert", "house.png", "--edit", "a boat", "--steps", "4", "--skip", "4"), 64, "--skip 4")
    expectError(try place.run("invert", "house.png", "--curve", "5,x"), 64, "--curve", "'x'")
    expectError(try place.run("invert", "house.png", "--arrays", "n.npy"), 64, "n.npy", ".safetensors")
    expectError(try place.run("invert", "house.png", "--pictures", "nowhere"), 73, "nowhere")
    expectError(try place.run("invert", "house.png", "-o", "house.png"), 73, "is there already")
    expectError(try place.run("invert", "house.png", "-o", "x.jpg"), 64, ".png")
    #expect(try place.run("invert", "house.png", "--dry-run").output.contains("would write"))
    #expect(try place.files() == ["bad.png", "house.png"])
    // A picture of another size is rounded down as --init-image is.
    let picture = try Picture(url: place.url("house.png")).resized(width: 71, height: 50)
    try picture.writePNG(to: place.url("odd.png"))
    let odd = try place.run("invert", "odd.png", "--steps", "2", "-o", "o.png", "-q", "--json")
    #expect(try odd.json()["width"] as? Int == 68 && odd.json()["height"] as? Int == 48, "\(odd.output) \(odd.errors)")
  }
}
