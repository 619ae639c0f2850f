import Analysis
import Engine
import Foundation
import Plots

/// The runs of `patch` and what they show.
struct PatchStudy {
  struct Cell {
    let plan: PatchPlan.Cell
    let folder: RunFolder
    let picture: Picture
    let effect: PatchEffect
  }
  struct Region {
    let word: String
    /// "A" or "B": whose map it is.
    let of: String
    /// One entry a pixel.
    let mask: [Bool]
  }

  let plan: PatchPlan
  let metric: PatchEffect.Metric
  let target: RunFolder
  let source: RunFolder?
  let targetPicture: Picture
  let sourcePicture: Picture?
  let region: Region?
  let cells: [Cell]

  init(_ verb: Patch, _ plan: PatchPlan, target run: PictureRun, source other: PictureRun?, metric: PatchEffect.Metric) throws {
    (self.plan, self.metric) = (plan, metric)
    let store = verb.runs.store
    let first = try run.indices().lowerBound
    let steps = try run.indices().count
    var bar = ProgressBar("patching", total: (plan.cells.count + (other == nil ? 1 : 2)) * steps, quiet: verb.report.quiet)
    func pass(_ run: PictureRun, _ captures: [CaptureSpec], _ intervention: Tracer.Intervention = .init()) throws -> RunFolder {
      var done = 0
      return try run.trace(store, captures, intervention: intervention, again: verb.runs.again) { step, _ in
        bar.advance(by: step - done)
        done = step
      }
    }
    let seen = CaptureSpec("unet.*.attn2.probs")
    let owner = try verb.region.map { word in try Self.owner(word, a: other, b: run) }
    let values = plan.captures
    let source = try other.map { try pass($0, values + (owner == "A" ? [seen] : [])) }
    let target = try pass(run, owner == "B" ? [seen] : [])
    let a = try source.map { try PatchEffect.Outcome($0) }
    let b = try PatchEffect.Outcome(target)
    let region = try verb.region.map { word in
      let isA = owner == "A"
      return try Self.region(
        word, isA ? "A" : "B", isA ? source ?? target : target, isA ? other ?? run : run, width: b.picture.width, height: b.picture.height)
    }
    let replacements = try Replacements(plan, run, other, source)
    cells = try plan.cells.map { cell in
      let patch = ActivationPatch(sites: cell.sites, steps: cell.steps, rows: plan.halves, try replacements.of(cell.what))
      let folder = try pass(run, [], patch.intervention(firstStep: first))
      let outcome = try PatchEffect.Outcome(folder)
      return Cell(
        plan: cell, folder: folder, picture: outcome.picture,
        effect: try PatchEffect(outcome, target: b, source: a, region: region?.mask))
    }
    (self.source, self.target, self.region) = (source, target, region)
    (sourcePicture, targetPicture) = (a?.picture, b.picture)
  }

  /// What the cells put in; each text is passed through the network once.
  private struct Replacements {
    let source: ActivationPatch.Replacement?
    let words: [String: ActivationPatch.Replacement]

    init(_ plan: PatchPlan, _ run: PictureRun, _ other: PictureRun?, _ stored: RunFolder?) throws {
      switch (plan.mode, other, stored) {
      case (.activations, _, let stored?):
        source = .activations(try StoredActivations(stored, sites: plan.sites))
      case (.prompt, let other?, _):
        let prompt = other.request.prompt
        let ends = try run.model.conditionings([prompt, run.request.prompt], run.request)
        source = .text(try TextActivations("prompt \(prompt)", ends[0], sites: plan.sites, model: run.model))
      default: source = nil
      }
      var words: [String: ActivationPatch.Replacement] = [:]
      for cell in plan.cells {
        guard case .word(let word) = cell.what, words[word] == nil else { continue }
        let knocked = try WordKnockOut(word, run.model, run.request)
        words[word] = .text(try TextActivations("without \(word)", knocked.conditioning, sites: plan.sites, model: run.model))
      }
      self.words = words
    }

    func of(_ what: PatchPlan.What) throws -> ActivationPatch.Replacement {
      switch what {
      case .head(let head, let count): return .zeroHeads([head], of: count)
      case .word(let word): if let found = words[word] { return found }
      case .source: if let source { return source }
      }
      throw InputError(.usage, "there is nothing to put in")
    }
  }

  /// Whose word it is: A's where A has it, else B's.
  static func owner(_ word: String, a: PictureRun?, b: PictureRun) throws -> String {
    func tokens(_ run: PictureRun) throws -> [Int] {
      try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis).places(of: word)
    }
    if let a, (try? tokens(a)) != nil { return "A" }
    _ = try tokens(b)
    return "B"
  }

  private static func region(_ word: String, _ of: String, _ folder: RunFolder, _ run: PictureRun, width: Int, height: Int) throws -> Region
  {
    let recorder = try CrossAttentionRecorder(folder, levels: run.model.unet.config.blockOutChannels.count)
    let maps = TokenMaps(try DAAM(recorder, image: 0, latents: folder.latents))
    let prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
    let map = try maps.word(word, prompt.places(of: word))
    return Region(word: word, of: of, mask: try WordRegion.mask(map.values, folder.latents, width: width, height: height))
  }

  /// Row by row; nil where there is no cell or no value.
  func grid(_ metric: PatchEffect.Metric) -> [[Double?]] {
    var out: [[Double?]] = Array(repeating: Array(repeating: nil, count: plan.columns.count), count: plan.rows.count)
    for cell in cells { out[cell.plan.row][cell.plan.column] = cell.effect[metric] }
    return out
  }

  /// Three decimals, and no minus before a zero.
  static func text(_ value: Double) -> String {
    let text = decimal(value, 3)
    return text == "-0.000" ? "0.000" : text
  }

  /// Cells by the size of their effect, the largest first: by the metric, falling; by `region` without A, where 1 is untouched, rising.
  var ranking: [Cell] {
    let rises = metric == .region && source == nil
    return cells.filter { $0.effect[metric] != nil }.sorted {
      let (x, y) = ($0.effect[metric] ?? 0, $1.effect[metric] ?? 0)
      return rises ? x < y : x > y
    }
  }

  /// The grid of the metric, and for heads the first of the ranking, for people.
  func numbers() -> String {
    let values = grid(metric).map { $0.map { $0.map(Self.text) ?? "-" } }
    var out = table([[metric.rawValue] + plan.columns] + zip(plan.rows, values).map { [$0] + $1 }) + "\n"
    if plan.mode == .heads {
      let first = ranking.prefix(8).enumerated().map { i, cell in
        ["\(i + 1)", plan.rows[cell.plan.row], plan.columns[cell.plan.column], cell.effect[metric].map(Self.text) ?? "-"]
      }
      out += "\n" + table([["rank", "layer", "head", metric.rawValue]] + first) + "\n"
    }
    return out
  }

  func report(_ files: [URL]) -> Report { Report(self, files) }

  struct Report: Encodable {
    struct Cell: Encodable {
      let row: String
      let column: String
      let sites: [String]
      /// Absent for all.
      let steps: [Int]?
      let run: String
      let change: Double
      let toward: Double?
      let latent: Double
      let region: Double?
    }
    struct Region: Encodable {
      let word: String
      let of: String
      let pixels: Int
    }
    struct Rank: Encodable {
      let row: String
      let column: String
      let value: Double
    }
    let files: [String]
    let mode: String
    let metric: String
    let patchedRows: String
    let a: String?
    let b: String
    let region: Region?
    let rows: [String]
    let columns: [String]
    let cells: [Cell]
    /// By the size of the effect, the largest first.
    let ranking: [Rank]

    init(_ study: PatchStudy, _ files: [URL]) {
      self.files = files.map(\.relativePath)
      mode = study.plan.mode.rawValue
      metric = study.metric.rawValue
      patchedRows = study.plan.halves.rawValue
      a = study.source?.url.relativePath
      b = study.target.url.relativePath
      region = study.region.map { Region(word: $0.word, of: $0.of, pixels: $0.mask.count { $0 }) }
      (rows, columns) = (study.plan.rows, study.plan.columns)
      cells = study.cells.map { cell in
        Cell(
          row: study.plan.rows[cell.plan.row], column: study.plan.columns[cell.plan.column], sites: cell.plan.sites,
          steps: cell.plan.steps?.sorted(), run: cell.folder.url.relativePath, change: cell.effect.change, toward: cell.effect.toward,
          latent: cell.effect.latent, region: cell.effect.region)
      }
      ranking = study.ranking.compactMap { cell in
        cell.effect[study.metric].map {
          Rank(row: study.plan.rows[cell.plan.row], column: study.plan.columns[cell.plan.column], value: $0)
        }
      }
    }
  }
}
