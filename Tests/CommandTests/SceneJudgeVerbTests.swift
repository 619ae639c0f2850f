import Engine
import Foundation
import Testing

/// `sdlab train classifier` and `sdlab evaluate scenes`.
@Suite struct SceneJudgeVerbTests {
  private static let options = [
    "train", "classifier", "--width", "8", "--batch", "4", "--steps", "7", "--checkpoint", "2", "--warm-up", "2", "--test", "40", "-q",
  ]

  private func weights(_ place: borrowing Workplace, _ folder: String) throws -> Data {
    try Data(contentsOf: place.url("\(folder)/model/model.safetensors"))
  }

  /// Killed in the middle, the same command ends with the bits of a training that nothing disturbed.
  @Test func killedAndResumed() throws {
    let place = try Workplace()
    let whole = try place.run(Self.options + ["--out", "whole", "--json"])
    #expect(whole.code == 0 && whole.errors.isEmpty, "\(whole.errors)")
    let json = try whole.json()
    #expect(json["steps"] as? Int == 7 && (json["accuracy"] as? [Any])?.count == 26)
    #expect(place.logLines("whole").count == 8)
    try place.killedTraining(Self.options, "killed", after: 4)
    let resumed = try place.run(Self.options.filter { $0 != "-q" } + ["--out", "killed"])
    #expect(resumed.code == 0 && resumed.errors.contains("goes on from step"), "\(resumed.errors)")
    #expect(try weights(place, "killed") == weights(place, "whole"))
    #expect(place.logLines("killed") == place.logLines("whole"))
    #expect(try Picture(url: place.url("whole/loss.png")).width > 600)
    let card = try String(contentsOf: place.url("whole/model/README.md"), encoding: .utf8)
    #expect(card.contains("28 scenes of seed 2000") && card.contains("| two objects, held out | relation |"))
    let other = try place.run(Self.options.map { $0 == "8" ? "12" : $0 } + ["--out", "whole"])
    expectError(other, 64, "its width is 8, not 12")

    // What has learnt next to nothing does not know what is there and what is not, also in what is drawn without fault.
    let judged = try place.run(
      "evaluate", "scenes", "--judge", "whole/model", "--prompts", "16", "--steps", "1", "--guidance", "1", "--json", "-q")
    #expect(judged.code == 0, "\(judged.errors)")
    let rows = try #require(try judged.json()["rows"] as? [[String: Any]])
    let drawn = rows.compactMap { row in
      (row["model"] as? [String: Any])?["question"] as? String == "exactly" ? row["judge_drawn"] as? Double : nil
    }
    #expect(drawn.count == 4 && drawn.allSatisfy { $0 < 0.6 })
  }

  /// The table, its files, and the same seed twice; pictures of few steps are worse than drawn scenes.
  @Test func scenesAreJudged() throws {
    let place = try Workplace()
    let options = ["evaluate", "scenes", "--prompts", "24", "--steps", "4", "--sampler", "dpmpp-2m", "-q"]
    let json = try place.run(options + ["--json", "-o", "table.csv"])
    #expect(json.code == 0 && json.errors.isEmpty, "\(json.errors)")
    let object = try json.json()
    #expect(object["prompts"] as? Int == 24 && object["output"] as? String == "table.csv")
    let rows = try #require(object["rows"] as? [[String: Any]])
    #expect(rows.count == 26)
    for row in rows {
      let model = try #require(row["model"] as? [String: Any])
      let n = try #require(model["n"] as? Int)
      #expect(n <= 6)
      if n > 0 {
        let (value, low, high) = (model["value"] as? Double ?? -1, model["low"] as? Double ?? 2, model["high"] as? Double ?? -1)
        #expect(low <= value && value <= high && low >= 0 && high <= 1)
      }
      if model["question"] as? String == "noun" { #expect((row["judge_drawn"] as? Double ?? 0) >= 0.8) }
    }
    let csv = try String(contentsOf: place.url("table.csv"), encoding: .utf8).split(separator: "\n")
    #expect(csv.count == 27 && csv[0].hasPrefix("objects,held_out,question,n,right") && csv[1].hasPrefix("1,false,noun,6,"))
    // All pictures and what is said of them: as many are wrong as the table has.
    #expect(try place.run(options + ["--pictures", "all", "-o", "again.csv"]).code == 0)
    #expect(try Data(contentsOf: place.url("again.csv")) == Data(contentsOf: place.url("table.csv")))
    let lines = try String(contentsOf: place.url("all/metadata.jsonl"), encoding: .utf8).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(lines.count == 24 && lines[3]["file_name"] as? String == "03.png" && lines[3]["seed"] as? Int == 45)
    #expect(try Picture(url: place.url("all/23.png")).width == 64)
    for row in rows {
      let model = try #require(row["model"] as? [String: Any])
      let group =
        "\(model["objects"] as? Int == 1 ? "one object" : "two objects"), \(model["held_out"] as? Bool == true ? "held out" : "seen")"
      let question = try #require(model["question"] as? String)
      let wrong = lines.count { $0["group"] as? String == group && ($0["wrong"] as? [String])?.contains(question) == true }
      #expect(wrong == (model["n"] as? Int ?? 0) - (model["right"] as? Int ?? 0), "\(group) \(question)")
    }
    expectError(try place.run(options + ["--pictures", "all"]), 73, "all: is there already")
    // Another batch, the same answers; the text has the same numbers.
    let text = try place.run(options + ["--batch", "5", "-o", "report.html"])
    #expect(text.code == 0 && text.lines.count == 27, "\(text.errors)")
    #expect(text.lines[1].hasPrefix("one object, seen") && text.output.contains("two objects, held out"))
    let html = try String(contentsOf: place.url("report.html"), encoding: .utf8)
    #expect(html.contains("How often pictures are right") && html.contains("The first pictures"))
    #expect(try place.run(options + ["-o", "figure.png"]).code == 0)
    #expect(try Picture(url: place.url("figure.png")).width > 1000)
  }

  /// A model with weights drawn anew makes pictures of nothing: right at chance at best, while the judge stays right about drawn scenes.
  @Test func randomWeightsScoreAtChance() throws {
    let place = try Workplace()
    let trained = try place.run(
      "train", "ldm", "--scratch", "--examples", "2", "--batch", "1", "--steps", "1", "--samples", "", "--out", "new", "-q")
    #expect(trained.code == 0, "\(trained.errors)")
    let result = try place.run("evaluate", "scenes", "--model", "new/model", "--prompts", "40", "--steps", "3", "--json", "-q")
    #expect(result.code == 0, "\(result.errors)")
    var (right, asked, drawn) = (0, 0, 0.0)
    for row in try #require(try result.json()["rows"] as? [[String: Any]]) {
      let model = try #require(row["model"] as? [String: Any])
      guard model["question"] as? String == "noun" || model["question"] as? String == "exactly" else { continue }
      right += model["right"] as? Int ?? 1000
      asked += model["n"] as? Int ?? 0
      drawn += (row["judge_drawn"] as? Double ?? 0) / 8
    }
    #expect(asked == 80 && right < 20 && drawn > 0.9, "\(right) of \(asked), \(drawn)")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    for (arguments, words) in [
      (["--steps", "0"], "--steps 0"), (["--width", "6"], "--width 6"), (["--decoded", "2"], "--decoded 2"),
      (["--test", "3"], "--test 3"),
    ] { expectError(try place.run(["train", "classifier", "--out", "x", "-q"] + arguments), 64, words) }
    for (arguments, words) in [
      (["--prompts", "3"], "--prompts 3"), (["--steps", "0"], "--steps 0"), (["--batch", "0"], "--batch 0"), (["-o", "a.txt"], "a.txt"),
    ] { expectError(try place.run(["evaluate", "scenes", "-q"] + arguments), 64, words) }
    expectError(try place.run("evaluate", "scenes", "--judge", "nowhere", "-q"), 66, "nowhere/config.json")
    try Data("x".utf8).write(to: place.url("there.csv"))
    expectError(try place.run("evaluate", "scenes", "-o", "there.csv", "-q"), 73, "is there already")
    #expect(
      try place.run("train", "classifier", "--width", "8", "--batch", "2", "--out", "x", "--dry-run").output.contains(
        "parameters on 6,000 scenes"))
    #expect(try place.files() == ["there.csv"])
  }
}
