import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots
import Training

struct EvaluateScenes: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scenes",
    abstract: "Make pictures of scenes and ask the judge whether they show what their prompts say.",
    discussion: """
      Prompts come from the grammar of scenes: a quarter each with one and with two objects, in combinations of noun and colour that a model trained on scenes has seen, and in those that \
      are held out. Prompt i of a seed is always the same. The judge (sdlab train classifier) answers; how often it is right itself, on the same scenes drawn and after the \
      model's autoencoder, stands beside. A picture is not asked for what its prompt leaves open. For models that know the scenes' words.

      Examples:
        sdlab evaluate scenes --prompts 80
        sdlab evaluate scenes --model finer/model --steps 20 --sampler dpmpp-2m -o finer.html
      """)

  @Option(help: ArgumentHelp("Number of prompts, 8 to 100000.", valueName: "n"))
  var prompts = 400

  @Option(help: ArgumentHelp("The sampler.", valueName: "name"))
  var sampler = SamplerName.ddim

  @Option(help: ArgumentHelp("Number of steps, 1 to 1000.", valueName: "n"))
  var steps = 30

  @Option(help: ArgumentHelp("Scale of classifier-free guidance.", valueName: "w"))
  var guidance = 5.0

  @Option(help: ArgumentHelp("Seed of the prompts and of the noise: picture i has seed + i.", valueName: "k"))
  var seed: UInt64 = 42

  @Option(help: ArgumentHelp("Pictures that are made at once, 1 to 256. It changes no picture by more than rounding.", valueName: "n"))
  var batch = 16

  @Option(
    help: ArgumentHelp("Another judge than the one that comes with the program: a folder of sdlab train classifier.", valueName: "dir"))
  var judge: String?

  @Option(
    name: [.customLong("output"), .short],
    help: ArgumentHelp("A report (.html), a table (.csv) or a figure (.png, .svg, .pdf) beside what is printed.", valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Also write all pictures to this new folder, with metadata.jsonl: prompt, what the judge reads off it, what is wrong.",
      valueName: "dir"))
  var pictures: String?

  @Flag(name: [.long, .short], help: "Overwrite a file that is there.") var force = false

  @Option(help: ArgumentHelp("Colours of a figure: light or dark.", valueName: "name"))
  var theme = FigureOptions.ThemeName.light

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    try check()
    let kind = try outputKind()
    let kept = try pictures.map { try JudgedPictures($0) }
    let assets = kind?.isReport == true ? try ReportDocument.assets() : nil
    let judge = try judge.map { try SceneJudge(folder: URL(fileURLWithPath: $0)) } ?? SceneJudge.embedded()
    let loaded = try model.load(report)
    let started = ContinuousClock.now
    let study = try SceneStudy(self, loaded, judge, keeping: kept)
    let taken = seconds(.now - started)
    try kept?.commit()
    switch kind {
    case .report(let url):
      guard let assets else { break }
      _ = try ReportDocument.write(study.document(seconds: taken), assets, to: url, report)
    case .table(let url): try AtomicFile.write(Data(study.csv.utf8), to: url)
    case .figure(let url, let format): try FigureOptions.write(study.figure, to: url, format, dpi: 144, theme: theme)
    case nil: break
    }
    try report.json ? StandardOutput.json(SceneOutcome(study, output: kind?.url, seconds: taken)) : StandardOutput.line(study.text)
  }

  private func check() throws {
    guard (8...100_000).contains(prompts) else { throw InputError(.usage, "--prompts \(prompts): expected 8 to 100000") }
    guard (1...1000).contains(steps) else { throw InputError(.usage, "--steps \(steps): expected 1 to 1000") }
    guard guidance.isFinite else { throw InputError(.usage, "--guidance \(guidance): expected a finite number") }
    guard (1...256).contains(batch) else { throw InputError(.usage, "--batch \(batch): expected 1 to 256") }
  }

  private enum Kind {
    case report(URL)
    case table(URL)
    case figure(URL, FileFormat)

    var url: URL {
      switch self {
      case .report(let url), .table(let url), .figure(let url, _): url
      }
    }
    var isReport: Bool { if case .report = self { true } else { false } }
  }

  /// What -o asks for, checked before anything is computed.
  private func outputKind() throws -> Kind? {
    guard let output else { return nil }
    let url = URL(fileURLWithPath: output)
    let kind: Kind
    switch url.pathExtension.lowercased() {
    case "html": kind = .report(url)
    case "csv": kind = .table(url)
    case let ending:
      guard let format = FileFormat(rawValue: ending) else {
        throw InputError(.usage, "-o \(output): expected a name that ends in .html, .csv, .png, .svg or .pdf")
      }
      kind = .figure(url, format)
    }
    try OutputFile.check([url], force: force)
    return kind
  }
}

/// Pictures of scenes' prompts, judged.
struct SceneStudy {
  let verb: EvaluateScenes
  let source: ModelSource
  let scenes: [Scene]
  let table: SceneTable
  let examination: SceneExamination
  /// The first pictures of each group, with what the judge says of them.
  let shown: [(group: SceneTable.Group, pictures: [Shown])]
  /// The first of each group in which something is not as it was asked for.
  let wrong: [(group: SceneTable.Group, pictures: [Shown])]

  struct Shown {
    let prompt: String
    let picture: Picture
    let judged: Judgement
    /// Questions that the picture does not answer right.
    let wrong: [SceneScores.Question]
  }

  private static let (shownPerGroup, wrongPerGroup) = (6, 12)

  init(_ verb: EvaluateScenes, _ model: StableDiffusion, _ judge: SceneJudge, keeping kept: JudgedPictures?) throws {
    (self.verb, source) = (verb, model.source)
    let (width, height) = model.nativeSize
    guard width == height else { throw InputError(.usage, "\(source.displayName): \(width)x\(height), scenes are square") }
    scenes = (0..<verb.prompts).map { Scene.balanced(seed: verb.seed, index: $0) }
    let told = scenes.map { $0.told() }
    let captions = scenes.map { $0.caption() }
    let names = SceneFolder(seed: verb.seed, count: verb.prompts)
    var bar = ProgressBar("making pictures", total: verb.prompts, quiet: verb.report.quiet)
    var table = SceneTable()
    var (shown, wrong): ([SceneTable.Group: [Shown]], [SceneTable.Group: [Shown]]) = ([:], [:])
    for first in stride(from: 0, to: verb.prompts, by: verb.batch) {
      let range = first..<min(first + verb.batch, verb.prompts)
      let request = GenerationRequest(
        prompt: "", sampler: verb.sampler, steps: verb.steps, guidance: verb.guidance, seed: verb.seed &+ UInt64(first), width: width,
        height: height, count: range.count)
      let conditioning = try model.conditioning(Array(captions[range]), negative: request.usesGuidance ? "" : nil)
      let run = try model.denoising(request, conditioning: conditioning)
      while try run.next() != nil {}
      let decoded = try model.decode(run.latents)
      let judgements = judge.judgements(of: decoded.asPictures(side: SceneJudge.side))
      for (i, judged) in zip(range, judgements) {
        table.add(judged, asked: scenes[i], told: told[i])
        let group = SceneTable.Group(scenes[i])
        let one = Shown(
          prompt: captions[i], picture: Picture(decoded, index: i - range.lowerBound), judged: judged,
          wrong: SceneScores.wrong(judged, asked: scenes[i], told: told[i]))
        try kept?.add(one, named: names.fileName(i), seed: verb.seed &+ UInt64(i), group)
        if shown[group, default: []].count < Self.shownPerGroup { shown[group, default: []].append(one) }
        if !one.wrong.isEmpty, wrong[group, default: []].count < Self.wrongPerGroup { wrong[group, default: []].append(one) }
      }
      bar.advance(by: range.count)
    }
    self.table = table
    self.shown = SceneTable.Group.allCases.compactMap { group in shown[group].map { (group, $0) } }
    self.wrong = SceneTable.Group.allCases.compactMap { group in wrong[group].map { (group, $0) } }
    examination = try SceneExamination(judge, scenes: scenes, told: told, vae: model.vae, side: width, quiet: verb.report.quiet)
  }

  /// A line of the table: the model, then the judge on what was drawn, and on the same after the autoencoder.
  var rows: [(model: SceneTable.Row, drawn: SceneTable.Row, decoded: SceneTable.Row)] {
    zip(table.rows, zip(examination.drawn.rows, examination.decoded.rows)).map { ($0, $1.0, $1.1) }
  }

  var name: String { verb.model.model == nil ? "the model that comes with sdlab" : source.displayName }

  /// For people.
  var text: String {
    func percent(_ row: SceneTable.Row) -> String { row.proportion.value.map { decimal(100 * $0, 1) } ?? "–" }
    var lines = [["", "", "model, % (95 % interval)", "n", "judge, drawn", "judge, through the VAE"]]
    var last: SceneTable.Group?
    for (model, drawn, decoded) in rows {
      lines.append([
        model.group == last ? "" : model.group.words, model.question.rawValue, model.text, grouped(model.total), percent(drawn),
        percent(decoded),
      ])
      last = model.group
    }
    return sdlab.table(lines)
  }

  var csv: String {
    "objects,held_out,question,n,right,value,low,high,judge_drawn,judge_through_vae\n"
      + rows.map { model, drawn, decoded in
        let (p, interval) = (model.proportion, model.proportion.interval)
        let numbers = [p.value, interval?.lowerBound, interval?.upperBound, drawn.proportion.value, decoded.proportion.value]
        return
          "\(model.group.objects),\(model.group.isHeldOut),\(model.question.rawValue),\(p.total),\(p.hits),\(numbers.map { $0.map { "\($0)" } ?? "" }.joined(separator: ","))\n"
      }.joined()
  }
}

/// `--json`.
struct SceneOutcome: Encodable {
  struct Line: Encodable {
    let model: SceneTable.Row
    let judgeDrawn: Double?
    let judgeThroughVae: Double?
  }
  let output: String?
  let prompts: Int
  let sampler: String
  let steps: Int
  let guidance: Double
  let seed: UInt64
  let interval: String
  let rows: [Line]
  let seconds: Double

  init(_ study: SceneStudy, output: URL?, seconds: Double) {
    let verb = study.verb
    self.output = output?.relativePath
    (prompts, sampler, steps, guidance, seed) = (verb.prompts, verb.sampler.rawValue, verb.steps, verb.guidance, verb.seed)
    interval = "Wilson, 95 %"
    rows = study.rows.map { Line(model: $0.model, judgeDrawn: $0.drawn.proportion.value, judgeThroughVae: $0.decoded.proportion.value) }
    self.seconds = seconds
  }
}
