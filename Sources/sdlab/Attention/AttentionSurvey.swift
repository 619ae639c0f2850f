import Analysis
import Engine
import Foundation
import Plots

/// What `attention` found in one image of a run.
struct AttentionSurvey {
  struct Layer {
    let place: AttentionPlace
    let size: MapSize
    let heads: Int
    /// Its place among the run's layers.
    let index: Int
    var name: String { place.shortName }
  }
  struct Word {
    let name: String
    let positions: [Int]
    let atlas: HeadAtlas
  }

  let subject: RunSubject
  let image: Int
  /// Those that were asked for, in network order.
  let layers: [Layer]
  /// The step of each network call.
  let callSteps: [Int]
  /// `[calls][layers][heads]`, layers as in `layers`.
  let entries: [[[AttentionBudget.Entry]]]
  let words: [Word]
  /// At the level nearest to 16x16; nil when the run kept none.
  let selfAttention: SelfAttentionMaps?
  let components: [SelfAttentionMaps.Component]

  init(_ subject: RunSubject, _ verb: Attention, _ names: [String]?, _ selection: LayerSelection?) throws {
    self.subject = subject
    image = verb.index
    let steps = try subject.folder.steps(verb.atSteps)
    let budget = AttentionBudget(prompt: subject.prompt, steps: steps)
    let recorder = try CrossAttentionRecorder(subject.folder, levels: subject.levels, steps: steps, budget: budget)
    try selection?.check(recorder.layers)
    let images = recorder.layers.first?.sums.count ?? 0
    guard (0..<images).contains(verb.index) else { throw InputError(.usage, "--index \(verb.index): the run has \(images) images") }
    layers = recorder.layers.enumerated().filter { selection?.contains($0.element.place, $0.element.size) ?? true }.map {
      Layer(place: $0.element.place, size: $0.element.size, heads: $0.element.heads, index: $0.offset)
    }
    callSteps = budget.callSteps
    let wanted = layers
    entries = budget.entries(image: verb.index).map { call in wanted.map { call[$0.index] } }
    let kinds = AttentionBudget.kinds(of: subject.prompt)
    var chosen: [(name: String, positions: [Int])] = []
    if let names {
      chosen = try names.map { ($0, try subject.prompt.places(named: $0)) }
    } else {
      let all = kinds.indices.filter { kinds[$0] == .words }
      guard !all.isEmpty else { throw InputError(.usage, "the prompt has no words", hint: "give --words '<bos>' or '<padding>'") }
      chosen = [("all words", all)]
    }
    words = try chosen.map { word in
      Word(
        name: word.name, positions: word.positions,
        atlas: try HeadAtlas(
          recorder, image: verb.index, positions: word.positions, where: selection.map { s in { s.contains($0, $1) } }))
    }
    let hasSelf = subject.folder.manifest.captures.contains { capture in
      capture.site.hasSuffix(".attn1.probs") && [.none, .heads].contains(capture.reduction) && capture.shape.count == 5
        && capture.shape[3] == recorder.level.count && capture.shape[4] == recorder.level.count
    }
    selfAttention = hasSelf ? try SelfAttentionMaps(subject.folder, image: verb.index, size: recorder.level, steps: steps) : nil
    components = selfAttention?.leading(min(verb.components, recorder.level.count)) ?? []
  }

  /// Mean over the calls of what `value` reads off a head.
  func mean(_ layer: Int, _ head: Int, _ value: (AttentionBudget.Entry) -> Double) -> Double {
    entries.reduce(0) { $0 + value($1[layer][head]) } / Double(max(1, entries.count))
  }

  /// The same, and over the heads of a layer.
  func mean(_ layer: Int, _ value: (AttentionBudget.Entry) -> Double) -> Double {
    (0..<layers[layer].heads).reduce(0) { $0 + mean(layer, $1, value) } / Double(max(1, layers[layer].heads))
  }

  /// ln of the number of tokens: the entropy of attention to all alike.
  var largestEntropy: Double { log(Double(subject.prompt.chunks.count * subject.prompt.length)) }

  // MARK: Numbers

  func tables(rank: HeadAtlas.Ranking) -> String {
    func percent(_ x: Double) -> String { decimal(100 * x, 1) + " %" }
    var budget = [["layer", "size", "heads", "BOS", "words", "EOS", "padding", "entropy (nats)"]]
    for (i, layer) in layers.enumerated() {
      budget.append(
        [layer.name, "\(layer.size.height)x\(layer.size.width)", "\(layer.heads)"]
          + AttentionBudget.Kind.allCases.map { kind in percent(mean(i) { $0[kind] }) } + [decimal(mean(i, \.entropy), 2)])
    }
    var ranking = [["word", "layer", "head", "share", "peakedness"]]
    for word in words {
      ranking += word.atlas.ranked(by: rank).prefix(8).map {
        [word.name, $0.place.shortName, "\($0.number)", percent($0.share), decimal($0.peakedness, 3)]
      }
    }
    var out = table(budget) + "\n\n" + table(ranking)
    if !components.isEmpty {
      let rows = components.enumerated().map { ["\($0.offset + 1)", decimal($0.element.singularValue, 3), percent($0.element.share)] }
      out += "\n\n" + table([["component", "singular value", "share"]] + rows)
    }
    return out + "\n"
  }

  /// Tensors: `share` [calls, heads, 4] (BOS, words, EOS, padding) and `entropy` [calls, heads], heads of all layers one behind the other as the metadata
  /// `heads` names them; `map.WORD.LAYER` [heads, h, w]; `self.components` [n, h, w], `self.singular_values` [n].
  func write(_ url: URL) throws {
    let flat = entries.map { call in call.flatMap { $0 } }
    let count = flat.first?.count ?? 0
    var tensors: [(name: String, tensor: Tensor)] = [
      (
        "share",
        Tensor(flat.flatMap { $0.flatMap { $0.shares.map(Float.init) } }, [flat.count, count, AttentionBudget.Kind.allCases.count])
      ),
      ("entropy", Tensor(flat.flatMap { $0.map { Float($0.entropy) } }, [flat.count, count])),
    ]
    for word in words {
      for layer in layers {
        let heads = word.atlas.heads.filter { $0.place == layer.place }
        tensors.append(
          ("map.\(word.name).\(layer.place.path)", Tensor(heads.flatMap(\.map), [heads.count, layer.size.height, layer.size.width])))
      }
    }
    if let selfAttention {
      let size = selfAttention.size
      tensors.append(("self.components", Tensor(components.flatMap(\.map), [components.count, size.height, size.width])))
      tensors.append(("self.singular_values", Tensor(components.map { Float($0.singularValue) }, [components.count])))
    }
    let names = layers.flatMap { layer in (0..<layer.heads).map { "\(layer.place.path).\($0)" } }
    try Safetensors.write(
      tensors,
      metadata: ["heads": names.joined(separator: " "), "steps": callSteps.map(String.init).joined(separator: " ")], to: url)
  }

  func report(_ files: [URL], rank: HeadAtlas.Ranking) -> Report { Report(self, files, rank) }

  struct Report: Encodable {
    struct Spent: Encodable {
      let bos: Double
      let words: Double
      let eos: Double
      let padding: Double
      let entropy: Double
      init(_ value: ((AttentionBudget.Entry) -> Double) -> Double) {
        (bos, words, eos, padding) = (value { $0[.bos] }, value { $0[.words] }, value { $0[.eos] }, value { $0[.padding] })
        entropy = value(\.entropy)
      }
    }
    struct Layer: Encodable {
      let path: String
      let height: Int
      let width: Int
      let mean: Spent
      let heads: [Spent]
    }
    struct Head: Encodable {
      let layer: String
      let head: Int
      let share: Double
      let peakedness: Double
    }
    struct Word: Encodable {
      let word: String
      let positions: [Int]
      /// Highest first.
      let heads: [Head]
    }
    struct Component: Encodable {
      let singularValue: Double
      let share: Double
    }
    let files: [String]
    let run: String
    let steps: [Int]
    let largestEntropy: Double
    let rankedBy: String
    let layers: [Layer]
    let words: [Word]
    let components: [Component]

    init(_ survey: AttentionSurvey, _ files: [URL], _ rank: HeadAtlas.Ranking) {
      self.files = files.map(\.relativePath)
      run = survey.subject.folder.url.relativePath
      steps = survey.callSteps
      largestEntropy = survey.largestEntropy
      rankedBy = rank.rawValue
      layers = survey.layers.enumerated().map { i, layer in
        Layer(
          path: layer.place.path, height: layer.size.height, width: layer.size.width, mean: Spent { survey.mean(i, $0) },
          heads: (0..<layer.heads).map { h in Spent { survey.mean(i, h, $0) } })
      }
      words = survey.words.map { word in
        Word(
          word: word.name, positions: word.positions,
          heads: word.atlas.ranked(by: rank).map {
            Head(layer: $0.place.path, head: $0.number, share: $0.share, peakedness: $0.peakedness)
          })
      }
      components = survey.components.map { Component(singularValue: $0.singularValue, share: $0.share) }
    }
  }
}
