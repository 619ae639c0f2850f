import Testing

@testable import Engine

/// Ownership is the memory planner: it works only as long as nobody holds a tensor by accident, which no output would show.
@Suite struct AllocationTests {
  @Test func aStepOfTheUNetTakesTheSameBuffersEveryTime() throws {
    let model = try StableDiffusion()
    let config = model.unet.config
    let x = Tensor(pattern(2 * 16 * 16 * config.inChannels), [2, 16, 16, config.inChannels])
    let text = Tensor(pattern(2 * 32 * config.crossAttentionDim), [2, 32, config.crossAttentionDim])
    func step() throws -> BufferPool.Counters {
      let before = BufferPool.current.statistics
      _ = try model.unet(x, timesteps: [500], text: text)
      let after = BufferPool.current.statistics
      var difference = after
      difference.taken -= before.taken
      difference.allocated -= before.allocated
      difference.bytesInUse -= before.bytesInUse
      return difference
    }
    // A pool of its own: other tests run at the same time.
    let (second, third) = try BufferPool.$current.withValue(BufferPool()) {
      _ = try step()
      return (try step(), try step())
    }
    #expect(second.taken == third.taken)
    #expect(second.taken > 0)
    #expect([second.allocated, third.allocated] == [0, 0], "buffers asked of the system after the first step")
    #expect([second.bytesInUse, third.bytesInUse] == [0, 0], "buffers that a step did not give back")
    // Of the buffers that a step takes, so many are needed: one an operation that makes a new tensor. A residual that is copied because
    // somebody still holds it would be one more, each time.
    #expect(third.taken <= 290)
  }
}
