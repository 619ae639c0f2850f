import Engine
import Testing

@testable import Analysis

/// The examples of A1111's own help of the X/Y/Z plot, and what it leaves open.
@Suite struct GridTests {
  @Test func documentedIntegers() throws {
    #expect(try AxisValues.integers("1-5") == [1, 2, 3, 4, 5])
    #expect(try AxisValues.integers("1-5 (+2)") == [1, 3, 5])
    #expect(try AxisValues.integers("10-5 (-3)") == [10, 7])
    #expect(try AxisValues.integers("1-10 [5]") == [1, 3, 5, 7, 10])
    #expect(try AxisValues.integers("20, 1-3, 7") == [20, 1, 2, 3, 7])
    #expect(try AxisValues.integers("5-1") == [5, 4, 3, 2, 1])
    #expect(try AxisValues.integers("-3--1") == [-3, -2, -1])
    #expect(try AxisValues.integers("4-4") == [4])
  }

  @Test func documentedDecimals() throws {
    #expect(try AxisValues.decimals("1-3 (+0.5)") == [1, 1.5, 2, 2.5, 3])
    let tenths = try AxisValues.decimals("0.0-1.0 [6]")
    #expect(tenths.count == 6 && zip(tenths, [0, 0.2, 0.4, 0.6, 0.8, 1]).allSatisfy { abs($0 - $1) < 1e-12 })
    #expect(try AxisValues.decimals("0-0.3 (+0.1)") == [0, 0.1, 0.2, 0.3])
    #expect(try AxisValues.decimals("7.5") == [7.5])
  }

  @Test func seedsAndLists() throws {
    #expect(try AxisValues.seeds("1-3, 18446744073709551615") == [1, 2, 3, .max])
    #expect(try AxisValues.strings("house, boat, tree") == ["house", "boat", "tree"])
    #expect(try AxisValues.strings("house, \"tree, at night\" , \"a \"\"big\"\" boat\"") == ["house", "tree, at night", "a \"big\" boat"])
    #expect(try AxisValues.strings("house,") == ["house", ""])
  }

  @Test(arguments: [
    ("1-x", "1-x"), ("five", "five"), ("1-5 (+0)", "(+0)"), ("1-5 (-1)", "-1"), ("1-5 [0]", "[0]"), ("1-5 [x]", "[x]"), ("1.5", "1.5"),
    ("1-2.5", "2.5"), ("1, \"2", "quote"), ("", "''"), ("1-1000000", "1000"), ("1-5 (+0.5)", "(+0.5)"), ("99999999999999999999", "9999"),
  ])
  func mistakesAreNamed(_ text: String, _ part: String) {
    do {
      let values = try AxisValues.integers(text)
      Issue.record("\(text) became \(values)")
    } catch let error as InputError {
      #expect(error.kind == .usage && error.description.contains(part), "\(error)")
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test func negativeSeedsAndNonsenseAreRefused() {
    #expect(throws: InputError.self) { try AxisValues.seeds("-1") }
    for text in ["nan", "inf", "0x10", "1-inf"] { #expect(throws: InputError.self) { try AxisValues.decimals(text) } }
  }

  private func base(_ prompt: String = "a red house by a house") -> GenerationParameters {
    GenerationParameters(sdlabVersion: "1", prompt: prompt, width: 64, height: 64, model: .init(name: "m"))
  }

  @Test func cellsHaveTheirParameters() throws {
    let plan = try GridPlan(
      base(), x: GridAxis(argument: "prompt=house, boat, \"tree, tall\""), y: GridAxis(argument: "steps=10-20 (+10)"),
      z: GridAxis(argument: "sampler=ddim, euler-a"))
    #expect(plan.columns == 3 && plan.rows == 2 && plan.sheets == 2 && plan.cells.count == 12)
    #expect(plan.cells[0].parameters.prompt == "a red house by a house")
    let cell = try #require(plan.cells.first { $0.x == 2 && $0.y == 1 && $0.z == 1 })
    #expect(
      cell.parameters.prompt == "a red tree, tall by a tree, tall" && cell.parameters.steps == 20 && cell.parameters.sampler == "euler-a")
    #expect(cell.labels == ["tree, tall", "steps 20", "euler-a"])
    #expect(plan.cells.map { [$0.z, $0.y, $0.x] }.elementsEqual((0..<12).map { [$0 / 6, $0 / 3 % 2, $0 % 3] }))
    var rest = cell.parameters
    (rest.prompt, rest.steps, rest.sampler) = (base().prompt, 50, "ddpm")
    #expect(rest == base())
  }

  /// Every parameter reaches its own field and no other.
  @Test func everyParameter() throws {
    var base = base()
    base.negativePrompt = "night"
    func check(_ argument: String, _ change: (inout GenerationParameters) -> Void) throws {
      var expected = base
      change(&expected)
      let cell = try #require(GridPlan(base, x: GridAxis(argument: argument)).cells.last)
      #expect(cell.parameters == expected && cell.parameters != base, "\(argument)")
    }
    try check("seed=7") { $0.seed = 7 }
    try check("steps=7") { $0.steps = 7 }
    try check("guidance=2.5") { $0.guidance = 2.5 }
    try check("eta=0.5") { $0.eta = 0.5 }
    try check("clip-skip=1") { $0.clipSkip = 1 }
    try check("width=128") { $0.width = 128 }
    try check("height=96") { $0.height = 96 }
    try check("sampler=lcm") { $0.sampler = "lcm" }
    try check("negative=night, snow") { $0.negativePrompt = "snow" }
    base.initImage = .init(name: "a.png")
    try check("strength=0.5") { $0.strength = 0.5 }
  }

  /// What one axis inserts is not sought by another.
  @Test func twoReplacementsDoNotMeet() throws {
    let plan = try GridPlan(base("a red house"), x: GridAxis(.prompt, "red, house"), y: GridAxis(.prompt, "house, red"))
    #expect(plan.cells.map(\.parameters.prompt) == ["a red house", "a house house", "a red red", "a house red"])
  }

  @Test func mistakesOfAxesAreNamed() throws {
    func expect(_ part: String, _ body: () throws -> Void) {
      do {
        try body()
        Issue.record("no error that names \(part)")
      } catch { #expect("\(error)".contains(part), "\(error)") }
    }
    expect("boat") { _ = try GridPlan(base(), x: GridAxis(argument: "prompt=boat, tree")) }
    expect("stepz") { _ = try GridAxis(argument: "stepz=3") }
    expect("axis steps: '3-x'") { _ = try GridAxis(argument: "steps=3-x") }
    expect("eulerr") { _ = try GridAxis(argument: "sampler=eulerr") }
    expect("1.5") { _ = try GridAxis(argument: "eta=1.5") }
    expect("strength") { _ = try GridPlan(base(), x: GridAxis(argument: "strength=0.5")) }
    expect("two axes vary steps") { _ = try GridPlan(base(), x: GridAxis(argument: "steps=1"), y: GridAxis(argument: "steps=2")) }
    expect("two axes replace 'house'") { _ = try GridPlan(base(), x: GridAxis(.prompt, "house,a"), y: GridAxis(.prompt, "house,b")) }
    expect("1000000") { _ = try GridPlan(base(), x: GridAxis(.seed, "1-1000"), y: GridAxis(.steps, "1-1000")) }
  }
}
