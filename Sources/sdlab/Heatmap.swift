import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots
import Training

struct Heatmap: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show where in the picture each word went: cross-attention maps.",
    discussion: """
      Takes a run (its folder or name) or a prompt, for which a run is made with all options of `generate`. With --image the maps are those of an \
      existing picture: it is noised to the timesteps of --at and the network looks at it once at each.

      Methods: daam (Tang et al. 2023), sdlab (where words are written, not where the network looks: closest to the truth in `sdlab truth`), p2p \
      (Prompt-to-Prompt), ovam (words that need not be in the prompt), gradcam (features that matter for a word, by gradients; of the finished picture at --at), judge (the same of the judge of scenes, for its \
      nouns: what in the finished picture speaks for one, whatever made it), neglect (Attend-and-Excite's statistic: how much each word is overlooked, a number for \
      each step).

      Examples:
        sdlab heatmap "a red house next to a green tree"
        sdlab heatmap runs/a-red-house-42-1a2b3c4d --words "red house,tree" --layers up --at-steps 0-9
        sdlab heatmap "a red house" --method ovam --words roof,cat
        sdlab heatmap "a boat on the sea" --image photo.png --arrays maps
      """)

  @Argument(help: ArgumentHelp("A run, or a prompt.", valueName: "run|prompt"))
  var subject: String

  @Option(help: ArgumentHelp("Words or phrases, separated by commas. Default: every word of the prompt.", valueName: "a,b"))
  var words: String?

  @Option(help: ArgumentHelp("daam, sdlab, ovam, p2p, gradcam, judge or neglect.", valueName: "name"))
  var method = HeatmapMethod.daam

  @Option(
    help: ArgumentHelp(
      "Only these layers: down, mid, up, a size such as 16x16, or a pattern; several separated by commas. For daam and sdlab. Default: the method's own.",
      valueName: "which"))
  var layers: String?

  @Option(help: ArgumentHelp("Only these steps, from 0: 0-9, 0,10,20 or 40-. Default: all.", valueName: "steps"))
  var atSteps: String?

  @Option(help: ArgumentHelp("ovam: which rows' queries are used, cond, or uncond as in the published code.", valueName: "which"))
  var rows = OVAMRecorder.Rows.cond

  @Option(help: ArgumentHelp("Look at this picture instead of making one; the argument is its prompt.", valueName: "file"))
  var image: String?

  @Option(help: ArgumentHelp("Timesteps to which --image, or for gradcam any picture, is noised, separated by commas.", valueName: "t,t"))
  var at = "200,400,600"

  @Option(help: ArgumentHelp("Which image of a run with several, from 0.", valueName: "i"))
  var index = 0

  @Option(
    help: ArgumentHelp("Also write each map's raw values to DIR/<word>.npy, float32 [h, w] at the size of the latents.", valueName: "dir"))
  var arrays: String?

  @Flag(help: "Give each word a scale of its own. Without it all share one: a word that is not there then looks absent.")
  var ownScale = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    if layers != nil, ![.daam, .sdlab].contains(method) {
      throw InputError(.usage, "--layers: only with --method daam or sdlab; \(method.rawValue) has its own layers")
    }
    if atSteps != nil, [.gradcam, .judge].contains(method) {
      throw InputError(
        .usage, "--at-steps: \(method.rawValue) looks at the finished picture", hint: method == .judge ? "leave it out" : "give --at")
    }
    if arrays != nil, method == .neglect { throw InputError(.usage, "--arrays: neglect is a number a word and step, not a map") }
    let selection = try layers.map { try LayerSelection($0) }
    let target = try figure.target(default: "\(OutputFile.slug(subject))-\(method.rawValue)")
    let subject = try HeatmapSubject(self)
    let names = try wordList(subject)
    if method == .neglect {
      return try NeglectReport(subject, names, image: index).write(figure, target, report)
    }
    let (wordMaps, size) = try wordMaps(subject, names, selection)
    let files = try writeArrays(wordMaps, size)
    try figure.write(draw(wordMaps, size, subject), to: target.url, target.format)
    if report.json {
      try StandardOutput.json(Report(self, subject, size, wordMaps, files, target.url))
    } else {
      for url in files + [target.url] { try StandardOutput.line(url.relativePath) }
    }
  }

  private func wordList(_ subject: HeatmapSubject) throws -> [String] {
    var names = try words.map { try commaList($0, "--words") } ?? subject.prompt.distinctWords
    if method == .judge, words == nil {
      names = names.filter { Noun(rawValue: $0.lowercased()) != nil }
      guard !names.isEmpty else {
        throw InputError(
          .usage, "the prompt names none of the judge's nouns",
          hint: "name some with --words: \(Noun.list)")
      }
    }
    guard !names.isEmpty else {
      throw InputError(.usage, "the prompt has no words to make maps of", hint: "give --words with --method ovam")
    }
    return names
  }

  private func wordMaps(_ subject: HeatmapSubject, _ names: [String], _ selection: LayerSelection?) throws -> ([WordMap], MapSize) {
    if method == .judge { return (try subject.judged(names, image: index), subject.latents) }
    if method == .gradcam { return (try subject.activation(names, image: index), subject.latents) }
    let (maps, positions) = try tokenMaps(subject, names, selection)
    return (try zip(names, positions).map { try maps.word($0, $1) }, maps.size)
  }

  /// Maps of all tokens at the size of the latents, and where each word's tokens are.
  private func tokenMaps(_ subject: HeatmapSubject, _ names: [String], _ selection: LayerSelection?) throws -> (TokenMaps, [[Int]]) {
    switch method {
    case .ovam:
      let tokenized = try subject.source.promptTokenizer()
      let text = names.joined(separator: " ")
      let prompt = try tokenized.tokenizer.prepare(text, length: tokenized.length)
      guard prompt.cutTokens == 0 else {
        throw InputError(.usage, "--words: \(prompt.cutTokens) tokens too many for one row", hint: "ask about fewer words at a time")
      }
      let ids = Array(prompt.ids.prefix(prompt.contentCount + 2))
      let recorder = try subject.openVocabulary(ids, rows)
      let (size, values) = try recorder.maps(image: index)
      let maps = TokenMaps(size: size, tokens: recorder.tokens, values: values).resized(to: subject.latents)
      // The k-th name's own tokens, also where a name stands twice.
      var at = 1
      let positions = try names.map { name in
        let count = try tokenized.tokenizer.prepare(name, length: tokenized.length).contentCount
        defer { at += count }
        return Array(at..<at + count)
      }
      return (maps, positions)
    case .sdlab:
      let positions = try names.map { try subject.prompt.places(of: $0) }
      let recorder = try subject.written()
      try selection?.check(recorder.layers.map { ($0.place, $0.size) })
      let known = try selection == nil ? subject.evidence().map { Set($0.outputLayers) } : nil
      let maps = try OutputMaps(
        recorder, image: index,
        where: selection.map { s in { s.contains($0, $1) } } ?? known.map { k in { place, _ in k.contains(place.path) } })
      return (TokenMaps(size: maps.size, tokens: maps.tokens, values: maps.maps), positions)
    case .daam, .p2p, .gradcam, .judge, .neglect:
      let positions = try names.map { try subject.prompt.places(of: $0) }
      let recorder = try subject.attention(averaged: method == .p2p)
      try selection?.check(recorder.layers)
      guard recorder.layers.first.map({ $0.sums.indices.contains(index) }) ?? false else {
        throw InputError(.usage, "--index \(index): the run has \(recorder.layers.first?.sums.count ?? 0) images")
      }
      if method == .p2p {
        let p = PromptToPromptMaps(recorder, image: index)
        return (TokenMaps(size: p.size, tokens: p.tokens, values: p.maps).resized(to: subject.latents), positions)
      }
      let daam = try DAAM(recorder, image: index, latents: subject.latents, where: selection.map { s in { s.contains($0, $1) } })
      return (TokenMaps(daam), positions)
    }
  }

  private func writeArrays(_ maps: [WordMap], _ size: MapSize) throws -> [URL] {
    guard let arrays else { return [] }
    let urls = try OutputFile.arrays(maps.map(\.word), in: arrays, force: figure.force)
    for (map, url) in zip(maps, urls) { try Npy.write(map.values, shape: [size.height, size.width], to: url) }
    return urls
  }

  private func draw(_ maps: [WordMap], _ size: MapSize, _ subject: HeatmapSubject) throws -> Figure {
    let picture = try RGBImage(subject.shownPicture(index))
    let title = { (map: WordMap) in "\(map.word)  \(decimal(100 * map.share, 1)) %" }
    var panels = [Panel.picture("the picture", marks: [.image(picture)])]
    let highest = maps.flatMap(\.values).max() ?? 1
    for map in maps {
      let largest = ownScale ? map.values.max() ?? 1 : highest
      let name =
        switch method {
        case .p2p: "attention, largest 1"
        case .sdlab: "written towards the word"
        case .gradcam: "features that matter for the word"
        case .judge: "features that speak for the noun"
        case .daam, .ovam, .neglect: "attention, \(method.rawValue) definition"
        }
      let scale = ColourScale(.inferno, name, domain: 0...Double(max(largest, 1e-12)))
      panels.append(
        .picture(
          title(map),
          marks: [.overlay(picture, map.values.map(Double.init), rows: size.height, columns: size.width, colours: scale, opacity: 0.65)]))
    }
    let columns = min(panels.count, max(2, min(5, Int(Double(panels.count).squareRoot().rounded(.up)) + 1)))
    return Figure(
      title: "\"\(subject.prompt.text)\"",
      subtitle: "\(method.rawValue), \(subject.about)\(ownScale ? ", each word on its own scale" : ", one scale for all words")",
      note: note,
      columns: columns, width: Double(columns) * 190, commonColours: !ownScale, panels: panels)
  }

  /// What a value is, and what the percentages are.
  private var note: String {
    switch method {
    case .sdlab:
      "How far attention's output moves each place towards what the word says, in the layers' own units. Percent: share of the word in the sum over all tokens."
    case .judge:
      "Where the judge of scenes has large features that speak for the noun, by gradients: of the picture, not of what made it. Percent: share in the sum over the words shown."
    case .gradcam:
      "Where features are large that matter for the word anywhere, by gradients. Percent: share of the word in the sum over the words shown."
    case .daam, .ovam, .p2p, .neglect:
      "Percent: share of the word in the attention to all tokens, the beginning and the padding included. Attention says where the network looked, not what made the picture."
    }
  }

  private struct Report: Encodable {
    struct Word: Encodable {
      let word: String
      let positions: [Int]
      let minimum: Float
      let maximum: Float
      let mean: Double
      let share: Double
      let array: String?
    }
    let figure: String
    let run: String?
    let method: String
    let height: Int
    let width: Int
    let words: [Word]

    init(_ verb: Heatmap, _ subject: HeatmapSubject, _ size: MapSize, _ maps: [WordMap], _ files: [URL], _ figure: URL) {
      self.figure = figure.relativePath
      run = subject.folder?.url.relativePath
      method = verb.method.rawValue
      (height, width) = (size.height, size.width)
      words = maps.enumerated().map { i, map in
        Word(
          word: map.word, positions: map.positions, minimum: map.values.min() ?? 0, maximum: map.values.max() ?? 0,
          mean: map.values.reduce(0.0) { $0 + Double($1) } / Double(max(1, map.values.count)), share: map.share,
          array: files.indices.contains(i) ? files[i].relativePath : nil)
      }
    }
  }
}

extension HeatmapMethod: ExpressibleByArgument {}
extension OVAMRecorder.Rows: ExpressibleByArgument {}
