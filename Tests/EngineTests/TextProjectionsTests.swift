import Testing

@testable import Engine

/// Keys and values of the cross-attention are computed once for a run: that changes nothing but the time.
@Suite struct TextProjectionsTests {
  private func request(_ count: Int = 1) -> GenerationRequest {
    GenerationRequest(prompt: "a red circle on a green meadow", sampler: .ddim, steps: 3, guidance: 4, seed: 42, count: count)
  }

  /// A run by hand, whose passes remember nothing, against `Denoising`: to the bit, also for several images.
  @Test(arguments: [1, 2]) func aRunIsThatOfPassesWithoutMemory(count: Int) throws {
    let model = try StableDiffusion()
    let run = try model.denoising(request(count))
    let conditioning = try model.conditioning(request(count))
    let negative = try #require(conditioning.negative)
    let text = conditioning.both(rows: count, negative)
    var state = SamplerState()
    var x = run.latents
    for i in run.indices {
      x = try run.sampler.step(
        i, x, state: &state,
        denoise: { x, t in
          let both = try model.unet(.concatenated([x, x]), timesteps: [t], text: text)
          let (uncond, cond) = (both.slice(0..<count), both.slice(count..<2 * count))
          return uncond + Double(4) * (cond - uncond)
        }, noise: { Tensor.zeros(x.shape) }
      ).sample
    }
    while try run.next() != nil {}
    #expect(run.latents.array == x.array)
  }

  /// Whoever looks sees keys and values in every step, and what a probe puts in their place in one step is gone in the next.
  @Test func probesSeeEveryStepAndChangeOnlyTheirOwn() throws {
    let model = try StableDiffusion()
    var seen: [[Float]] = []
    let site = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.k"
    let probes = try Probes([site], sites: model.sites) { _, moment, tensor in
      seen.append(tensor.array)
      return moment.step == 1 ? Tensor.zeros(tensor.shape) : nil
    }
    let (run, plain) = (try model.denoising(request(), probes: probes), try model.denoising(request()))
    var equal: [Bool] = []
    while try run.next() != nil, try plain.next() != nil { equal.append(run.latents.array == plain.latents.array) }
    #expect(seen.count == 3)
    #expect(seen[0] == seen[1] && seen[1] == seen[2])
    #expect(equal == [true, false, false])
  }

  /// Only the text itself is remembered: the same numbers in another tensor are projected anew, and so are other tensors.
  @Test func onlyTheTextItselfIsRemembered() {
    let text = Tensor(pattern(24), [1, 3, 8])
    let site = Site(id: 7, path: "x", axes: "")
    let memory = TextProjections(of: text)
    var made = 0
    func project(_ source: Tensor) -> [Float] {
      memory(source, site) {
        made += 1
        return (source, source)
      }.value.array
    }
    #expect(project(text) == project(text))
    #expect(made == 1)
    _ = project(Tensor(text.array, text.shape))
    _ = project(Tensor(pattern(16), [1, 2, 8]))
    #expect(made == 3)
  }
}
