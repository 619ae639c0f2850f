import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Patched runs against diffusers with PyTorch hooks on the same modules.
@Suite struct PatchGoldenTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    struct Effect: Decodable, Sendable {
      var change: Double
      var latent: Double
      var toward: Double?
      var region: Double?
    }
    var `case`: String
    var kind: String
    var a: String
    var b: String
    var modules: [String]?
    var first: Int
    var last: Int
    var rows: String
    var sampler: String
    var steps: Int
    var guidance: Double
    var seed: String
    var width: Int
    var height: Int
    var head: Int?
    var word: String?
    var region: String?
    var regionPixels: Int?
    var effect: Effect
    var testDescription: String { self.case }

    func request(_ prompt: String) throws -> GenerationRequest {
      GenerationRequest(
        prompt: prompt, sampler: try #require(SamplerName(rawValue: sampler)), steps: steps, guidance: guidance,
        seed: try #require(UInt64(seed)), width: width, height: height)
    }

    func sites(_ value: String) -> [String] { (modules ?? []).map { "unet.\($0).\(value)" } }
  }
  struct File: Decodable { var cases: [Case] }
  static let cases = (try? Golden.json("patch/cases.json", as: File.self).cases) ?? []

  @Test func casesAreThere() { #expect(Self.cases.count == 11) }

  /// The patch of a case; `shift` moves its steps, for sabotage.
  private func patch(_ c: Case, _ model: StableDiffusion, _ source: RunFolder?, shift: Int = 0, rows: ActivationPatch.Rows? = nil) throws
    -> ActivationPatch
  {
    let steps = Set((c.first + shift)...(c.last + shift))
    let rows = try rows ?? #require(ActivationPatch.Rows(rawValue: c.rows))
    switch c.kind {
    case "out":
      return ActivationPatch(
        sites: c.sites("out"), steps: steps, rows: rows, .activations(try StoredActivations(#require(source), sites: c.sites("out"))))
    case "head":
      return ActivationPatch(sites: c.sites("mixed"), steps: steps, rows: rows, .zeroHeads([try #require(c.head)], of: 4))
    case "word":
      let sites = model.sites.map(\.path).filter { $0.hasSuffix("attn2.k") || $0.hasSuffix("attn2.v") }
      let knocked = try WordKnockOut(#require(c.word), model, c.request(c.b)).conditioning
      return ActivationPatch(sites: sites, steps: steps, rows: rows, .text(try TextActivations("t", knocked, sites: sites, model: model)))
    default:
      let sites = c.sites("k") + (c.kind == "kv" ? c.sites("v") : [])
      let ends = try model.conditionings([c.a, c.b], c.request(c.b))
      return ActivationPatch(sites: sites, steps: steps, rows: rows, .text(try TextActivations("t", ends[0], sites: sites, model: model)))
    }
  }

  private func outcome(_ model: StableDiffusion, _ request: GenerationRequest, _ patch: ActivationPatch?) throws -> PatchEffect.Outcome {
    let change = patch?.intervention()
    let probes = try change.map { try Probes($0.patterns, sites: model.sites, handler: #require($0.handler)) }
    let run = try model.denoising(request, probes: probes)
    while try run.next() != nil {}
    return PatchEffect.Outcome(latents: run.latents, picture: Picture(try model.decode(run.latents)))
  }

  @Test(arguments: cases) func equalsDiffusers(_ c: Case) throws {
    let model = try HeatmapTests.model.get()
    let expected = try Golden("patch/patch.safetensors").nhwc("\(c.case):latents")
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("patch-\(UInt64.random(in: 0...UInt64.max))")
    defer { try? FileManager.default.removeItem(at: folder) }
    let isTwo = ["out", "k", "kv"].contains(c.kind)
    var source: RunFolder?
    if c.kind == "out" {
      let parameters = GenerationParameters(
        sdlabVersion: "test", prompt: c.a, width: c.width, height: c.height, model: .init(name: "embedded"))
      let captures = (c.sites("out") + (c.region == nil ? [] : ["unet.*.attn2.probs"])).map {
        CaptureSpec($0, rows: c.rows == "both" ? .all : .cond)
      }
      source = try Tracer(model, store: RunStore(folder), command: "test").run(c.request(c.a), parameters, captures: captures)
    }
    let x = try outcome(model, c.request(c.b), patch(c, model, source))
    #expect(relativeError(x.latents, expected) < 1e-3)

    let b = try outcome(model, c.request(c.b), nil)
    let a = isTwo ? try outcome(model, c.request(c.a), nil) : nil
    var region: [Bool]?
    if let word = c.region {
      let isA = c.a.split(separator: " ").contains { $0 == word }
      let (prompt, size) = (isA ? c.a : c.b, MapSize(height: c.height / 4, width: c.width / 4))
      let recorder = CrossAttentionRecorder(model: model, latents: size)
      let run = try model.denoising(c.request(prompt), probes: recorder.probes(model))
      while try run.next() != nil {}
      let map = try DAAM(recorder, image: 0, latents: size).map(model.tokenize(prompt).positions(of: word).flatMap { $0 }.map(\.index))
      region = try WordRegion.mask(map, size, width: c.width, height: c.height)
      #expect(region?.count { $0 } == c.regionPixels)
    }
    let effect = try PatchEffect(x, target: b, source: a, region: region)
    func near(_ mine: Double?, _ golden: Double?, _ name: String) {
      guard let golden else { return #expect(mine == nil, "\(name)") }
      // Pictures are whole numbers: a rounding that falls the other way is worth 1/255 of one value.
      #expect(abs((mine ?? .infinity) - golden) < 1e-3 * max(abs(golden), 0.1), "\(name): \(mine ?? .nan), \(golden) in the golden")
    }
    near(effect.change, c.effect.change, "change")
    near(effect.latent, c.effect.latent, "latent")
    near(effect.toward, c.effect.toward, "toward")
    near(effect.region, c.effect.region, "region")
    #expect(effect.latent > 0.01, "a case in which nothing happens proves nothing")

    // What is nearly right must be noticed: a step too early or late where that is another set of steps, the other rows.
    if c.last < c.steps - 1 || c.first > 0 {
      let shift = c.first > 0 ? -1 : 1
      let wrong = try outcome(model, c.request(c.b), patch(c, model, source, shift: shift))
      #expect(relativeError(wrong.latents, expected) > 4e-3, "shifted by \(shift)")
    }
    if c.kind == "head", c.guidance > 1 {
      let wrong = try outcome(model, c.request(c.b), patch(c, model, source, rows: c.rows == "both" ? .cond : .both))
      #expect(relativeError(wrong.latents, expected) > 4e-3, "other rows")
    }
  }
}
