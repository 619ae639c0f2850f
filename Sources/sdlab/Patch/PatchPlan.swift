import Analysis
import Engine
import Foundation

/// Which patches are made: rows and columns of the grid, and what each cell puts where.
struct PatchPlan {
  struct Cell {
    let row: Int
    let column: Int
    let sites: [String]
    /// nil for all.
    let steps: Set<Int>?
    let what: What
  }
  enum What {
    case source
    case head(Int, of: Int)
    case word(String)
  }

  let mode: PatchMode
  let rows: [String]
  let columns: [String]
  let rowAxis: String
  let columnAxis: String
  let cells: [Cell]
  let halves: ActivationPatch.Rows
  /// All sites that take part.
  let sites: [String]
  /// Steps at which something is patched; nil for all.
  let steps: [Int]?

  init(_ verb: Patch, _ mode: PatchMode, _ run: PictureRun) throws {
    self.mode = mode
    halves = verb.rows
    let found = try Self.sites(verb.sites.isEmpty ? mode.defaultSites : verb.sites, mode, run.model)
    sites = found.map(\.path)
    let total = try run.indices().count
    steps = try verb.atSteps.map { try StepSelection($0, total: total).steps }
    let parts = verb.parts ?? (mode == .activations ? min(4, steps?.count ?? total) : 1)
    guard (1...(steps?.count ?? total)).contains(parts) else {
      throw InputError(.usage, "--parts \(parts): expected 1 to \(steps?.count ?? total), the number of steps that are patched")
    }
    let ranges = Self.ranges(steps, total: total, parts: parts)
    let levels = run.model.unet.config.blockOutChannels.count
    switch mode {
    case .activations, .prompt:
      var groups = SiteGroup.groups(found, by: verb.by ?? (mode == .activations ? .block : .layer), levels: levels)
      if groups.count > 1 { groups.append(SiteGroup("all", sites: sites)) }
      rows = groups.map(\.name)
      columns = ranges.map(\.name)
      (rowAxis, columnAxis) = (mode == .prompt ? "layers that read A" : "sites from A", "steps")
      cells = groups.enumerated().flatMap { r, group in
        ranges.enumerated().map { c, range in Cell(row: r, column: c, sites: group.sites, steps: range.steps, what: .source) }
      }
    case .tokens:
      let request = run.request
      let prompt = try run.model.tokenize(request.prompt, longPrompt: request.longPrompt, emphasis: request.emphasis)
      let words = try verb.words.map { try commaList($0, "--words") } ?? prompt.distinctWords
      guard !words.isEmpty else { throw InputError(.usage, "the prompt has no words to take out") }
      for word in words { _ = try prompt.positions(of: word) }
      let sites = sites
      rows = words
      columns = ranges.map(\.name)
      (rowAxis, columnAxis) = ("word taken out", "steps")
      cells = words.enumerated().flatMap { r, word in
        ranges.enumerated().map { c, range in Cell(row: r, column: c, sites: sites, steps: range.steps, what: .word(word)) }
      }
    case .heads:
      guard ranges.count == 1, let range = ranges.first else {
        throw InputError(.usage, "--parts \(parts): heads fill the columns already", hint: "give --at-steps for a part of the steps")
      }
      let layers = SiteGroup.groups(found, by: .layer, levels: levels)
      let counts = try Self.heads(run)
      rows = layers.map(\.name)
      let most = found.compactMap { counts[$0.path] }.max() ?? 0
      columns = (0..<most).map { "\($0)" }
      (rowAxis, columnAxis) = ("layer", steps == nil ? "head" : "head, at steps \(range.name)")
      cells = try layers.enumerated().flatMap { r, layer in
        guard let count = layer.sites.first.flatMap({ counts[$0] }) else {
          throw InputError(
            .usage, "\(layer.sites.first ?? layer.name): not the output of attention heads",
            hint: "'unet.*.attn2.mixed' and 'unet.*.attn1.mixed' are")
        }
        return (0..<count).map { Cell(row: r, column: $0, sites: layer.sites, steps: range.steps, what: .head($0, of: count)) }
      }
    }
  }

  var summary: String {
    let half = halves == .cond ? "the rows that carry the prompt" : "both halves of the batch"
    return "\(cells.count) patched runs: \(rows.count) x \(columns.count) (\(rowAxis) x \(columnAxis)), \(sites.count) sites, \(half)"
  }

  /// What is kept of A's run.
  var captures: [CaptureSpec] {
    mode == .activations ? sites.map { CaptureSpec($0, rows: halves == .both ? .all : .cond, steps: steps) } : []
  }

  /// Sites of the UNet that fit and can be replaced, in network order.
  private static func sites(_ patterns: [String], _ mode: PatchMode, _ model: StableDiffusion) throws -> [Site] {
    // Says so, with near misses, when a pattern matches nothing.
    _ = try Probes(patterns, sites: model.sites) { _, _, _ in nil }
    let matching = model.sites.filter { site in patterns.contains { Glob.matches($0, site.path) } }
    let usable = matching.filter { $0.path.hasPrefix("unet.") && !$0.isProbabilities && !$0.path.hasPrefix("unet.time_embedding") }
    guard !usable.isEmpty else {
      throw InputError(
        .usage, "\(matching.first?.path ?? patterns[0]): cannot be patched",
        hint: "sites of the UNet can, but for probabilities and the time embedding; patch a layer's q, k, v, mixed or out")
    }
    if mode == .prompt || mode == .tokens {
      for site in usable where !(site.path.hasSuffix(".attn2.k") || site.path.hasSuffix(".attn2.v")) {
        throw InputError(
          .usage, "--mode \(mode.rawValue): \(site.path) is not made of the text alone", hint: "'unet.*.attn2.k' and 'unet.*.attn2.v' are")
      }
    }
    if mode == .heads {
      for site in usable where !site.path.hasSuffix(".mixed") {
        throw InputError(
          .usage, "--mode heads: \(site.path) is not the output of attention heads",
          hint: "'unet.*.attn2.mixed' and 'unet.*.attn1.mixed' are")
      }
    }
    return usable
  }

  /// Number of heads behind each `….mixed`.
  private static func heads(_ run: PictureRun) throws -> [String: Int] {
    let plan = try run.plan([CaptureSpec("unet.*.probs", reduce: .entropy)])
    return Dictionary(
      plan.entries.map { (String($0.site.dropLast("probs".count)) + "mixed", $0.shape[2]) }, uniquingKeysWith: { a, _ in a })
  }

  /// The steps in so many parts, as equal as can be, and all of them behind when there are several.
  static func ranges(_ steps: [Int]?, total: Int, parts: Int) -> [(name: String, steps: Set<Int>?)] {
    let all = steps ?? Array(0..<total)
    func name(_ part: ArraySlice<Int>) -> String {
      guard let first = part.first, let last = part.last else { return "" }
      return first == last ? "\(first)" : "\(first)–\(last)"
    }
    let whole = (name: steps == nil ? "all" : name(all[...]), steps: steps.map { Set($0) })
    if parts == 1 { return [whole] }
    return (0..<parts).map { i in
      let part = all[all.count * i / parts..<all.count * (i + 1) / parts]
      return (name(part), Set(part))
    } + [(name: "all", steps: whole.steps)]
  }
}
