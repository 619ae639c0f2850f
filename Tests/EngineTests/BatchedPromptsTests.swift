import Foundation
import TestSupport
import Testing

@testable import Engine

@Suite struct BatchedPromptsTests {
  /// Prompts of their own in one batch give the pictures that they give one by one; exchanged, others.
  @Test(arguments: [1.0, 4.0]) func oneByOneAndTogether(_ guidance: Double) throws {
    let model = try StableDiffusion(Golden.folder.appendingPathComponent("tiny/v1").path)
    let prompts = ["a red house", "a blue boat by the sea", "a cat"]
    func latents(_ prompts: [String], seed: UInt64) throws -> Tensor {
      let request = GenerationRequest(prompt: "", sampler: .ddim, steps: 3, guidance: guidance, seed: seed, count: prompts.count)
      let run = try model.denoising(request, conditioning: model.conditioning(prompts, negative: request.usesGuidance ? "" : nil))
      while try run.next() != nil {}
      return run.latents
    }
    let together = try latents(prompts, seed: 7)
    let exchanged = try latents(prompts.reversed(), seed: 7)
    for (i, prompt) in prompts.enumerated() {
      let own = together.slice(i..<i + 1)
      #expect(largestDifference(own, try latents([prompt], seed: 7 + UInt64(i))) < 1e-4)
      var request = GenerationRequest(prompt: prompt, sampler: .ddim, steps: 3, guidance: guidance, seed: 7 + UInt64(i))
      request.negativePrompt = ""
      let run = try model.denoising(request)
      while try run.next() != nil {}
      #expect(largestDifference(own, run.latents) < 1e-4)
      if i != 1 { #expect(largestDifference(own, exchanged.slice(i..<i + 1)) > 1e-3) }
    }
    // Rows that are neither one nor as many as the images are refused.
    #expect(throws: InputError.self) {
      _ = try model.denoising(GenerationRequest(prompt: "", steps: 2, count: 2), conditioning: model.conditioning(prompts))
    }
  }
}
