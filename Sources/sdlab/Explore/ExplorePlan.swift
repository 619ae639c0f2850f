import Analysis
import Engine
import Foundation

/// How much `explore` does: passes through the network for each part.
struct ExplorePlan {
  private(set) var steps: Int
  /// Further seeds whose way is drawn through the projection.
  private(set) var seeds = 4
  /// Frames of each way between two prompts.
  private(set) var frames = 6
  /// Passes that the search for even spacing may take beside its frames.
  private(set) var search = 8
  /// Rows and columns of the grid of prompts and noises.
  private(set) var grid = 4
  /// Words that are knocked out.
  private(set) var words: Int
  private let rows: Int
  /// True where the reference scenes are compared; otherwise seeds and prompts of the run's own.
  let hasReference: Bool

  init(_ run: PictureRun, steps: Int) {
    self.steps = steps
    rows = run.model.rowsPerImage(run.request)
    words = (try? run.model.tokenize(run.request.prompt).distinctWords.count) ?? 1
    words = min(words, 12)
    hasReference = run.parameters.model.name == "embedded"
  }

  /// Pictures that are made.
  var pictures: Int { 2 + seeds + 3 * frames + search + grid * grid - 4 + words }
  /// Evaluations of the network with all rows.
  var passes: Int { pictures * steps }

  struct Rate: Encodable {
    /// Of one evaluation with all rows, and of decoding one picture.
    var step: Double
    var decode: Double
  }

  /// Measures one evaluation and one decoding at the size of the run.
  func calibrate(_ run: PictureRun) throws -> Rate {
    let factor = run.model.vae.config.factor
    let (h, w) = (run.parameters.height / factor, run.parameters.width / factor)
    let x = Tensor.zeros([rows, h, w, run.model.unet.config.inChannels])
    let text = Tensor.zeros([rows, run.model.promptLength, run.model.unet.config.crossAttentionDim])
    let guidance = run.model.unet.config.timeCondProjDim.map { Tensor.zeros([rows, $0]) }
    func timed(_ body: () throws -> Void) rethrows -> Double {
      let start = ContinuousClock.now
      try body()
      return seconds(.now - start)
    }
    func pass() throws -> Double { try timed { _ = try run.model.unet(x, timesteps: [500], text: text, guidanceEmbedding: guidance) } }
    // The first pass pays for reading and packing the weights: at small sizes ten times what it computes.
    _ = try pass()
    let step = try pass()
    let decode =
      step * 1.5 < 3 ? try timed { _ = try run.model.decode(Tensor.zeros([1, h, w, run.model.vae.config.latentChannels])) } : 1.6 * step
    return Rate(step: step, decode: decode)
  }

  /// Seconds that all passes will take; projections and drawing come to it.
  func wallSeconds(_ rate: Rate) -> Double { Double(passes) * rate.step * 1.1 + Double(pictures + 8) * rate.decode + 12 }

  /// Makes everything smaller until it fits, the least telling first.
  /// - Throws: `InputError` (usage) when even the smallest does not.
  mutating func fit(seconds limit: Double, _ rate: Rate) throws {
    let shrink: [(inout ExplorePlan) -> Bool] = [
      { p in
        p.grid > 2
          ? {
            p.grid -= 1; return true
          }() : false
      },
      { p in
        p.search > 0
          ? {
            p.search = max(0, p.search - 4); return true
          }() : false
      },
      { p in
        p.frames > 3
          ? {
            p.frames -= 2; return true
          }() : false
      },
      { p in
        p.steps > 10
          ? {
            p.steps = max(10, p.steps - 5); return true
          }() : false
      },
      { p in
        p.seeds > 1
          ? {
            p.seeds -= 1; return true
          }() : false
      },
      { p in
        p.words > 1
          ? {
            p.words -= 1; return true
          }() : false
      },
    ]
    var at = 0
    while wallSeconds(rate) > limit {
      var changed = false
      for _ in shrink.indices where !changed {
        changed = shrink[at % shrink.count](&self)
        at += 1
      }
      guard changed else {
        throw InputError(
          .usage, "--budget: the smallest exploration takes \(duration(wallSeconds(rate))) here",
          hint: "give more minutes, a smaller --width and --height, or use `sdlab trace` and `sdlab heatmap`")
      }
    }
  }

  func describe(_ rate: Rate, memory: Double) -> String {
    table([
      ["passes", "\(passes) through the UNet, \(rows) rows each: \(pictures) pictures of \(steps) steps"],
      ["memory", "about \(bytes(memory))"],
      ["time", "about \(duration(wallSeconds(rate))) at \(duration(rate.step)) a pass"],
    ])
  }

  struct Outline: Encodable {
    let passes: Int
    let pictures: Int
    let steps: Int
    let frames: Int
    let seeds: Int
    let words: Int
    let memoryBytes: Double
    let seconds: Double
  }

  func outline(_ rate: Rate, memory: Double) -> Outline {
    Outline(
      passes: passes, pictures: pictures, steps: steps, frames: frames, seeds: seeds, words: words, memoryBytes: memory,
      seconds: wallSeconds(rate))
  }
}
