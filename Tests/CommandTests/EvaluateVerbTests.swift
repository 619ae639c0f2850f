import Engine
import Foundation
import Testing

/// `sdlab evaluate fid`, `kid` and `is`.
@Suite struct EvaluateVerbTests {
  private static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/metrics")
    .standardizedFileURL.path
  private static func golden(_ name: String) -> String { "\(goldens)/\(name).npy" }

  @Test func numbers() throws {
    let place = try Workplace()
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: "\(Self.goldens)/metrics.json")))
    let expected = try #require(json as? [String: [[String: Any]]])
    for measure in ["fid", "kid"] {
      let first = try #require(expected[measure]?.first)
      let result = try place.run(
        "evaluate", measure, "--real", Self.golden(first["real"] as? String ?? ""), "--fake", Self.golden(first["fake"] as? String ?? ""),
        "--bootstrap", "20", "--json")
      #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
      let found = try result.json()
      let (value, wanted) = (try #require(found["value"] as? Double), try #require(first["value"] as? Double))
      #expect(abs(value - wanted) <= 1e-6 * abs(wanted))
      let (low, high) = (try #require(found["low"] as? Double), try #require(found["high"] as? Double))
      #expect(low < high && found["bootstrap"] as? Int == 20 && found["real"] as? Int == 120 && found["columns"] as? Int == 24)
    }
    let score = try place.run("evaluate", "is", "--fake", Self.golden("logits"), "--parts", "10", "--json").json()
    let wanted = try #require(expected["is"]?.last?["mean"] as? Double)
    #expect(abs(try #require(score["value"] as? Double) - wanted) < 1e-6 && score["low"] == nil && score["parts"] as? Int == 10)
    let text = try place.run("evaluate", "kid", "--real", Self.golden("a"), "--fake", Self.golden("c"), "--bootstrap", "0")
    #expect(text.lines == ["kid       0.1656", "real      120 pictures", "fake      64 pictures", "features  24"])
  }

  @Test func refusals() throws {
    let place = try Workplace()
    let a = Self.golden("a")
    expectError(try place.run("evaluate", "fid", "--real", a, "--fake", "none.npy"), 66, "none.npy")
    expectError(try place.run("evaluate", "fid", "--real", a, "--fake", Self.golden("logits")), 65, "24 and 10 columns")
    expectError(try place.run("evaluate", "kid", "--real", a, "--fake", a, "--bootstrap", "1"), 64, "--bootstrap 1")
    expectError(try place.run("evaluate", "is", "--fake", a, "--probabilities"), 65, "row 0 is no distribution")
    expectError(try place.run("evaluate", "is", "--fake", a, "--parts", "1000"), 64, "1000 parts of 120 pictures")
    try Npy.write([1, .nan, 2, 3], shape: [2, 2], to: place.url("nan.npy"))
    expectError(try place.run("evaluate", "fid", "--real", "nan.npy", "--fake", "nan.npy"), 65, "nan.npy", "row 0, column 1")
    try Npy.write([1, 2, 3], shape: [3], to: place.url("flat.npy"))
    expectError(try place.run("evaluate", "kid", "--real", "flat.npy", "--fake", "flat.npy"), 65, "flat.npy", "a picture a row")
    try Npy.write([1, 2, 3, 5, 8, 9], shape: [2, 3], to: place.url("few.npy"))
    let few = try place.run("evaluate", "fid", "--real", "few.npy", "--fake", "few.npy", "--bootstrap", "0")
    #expect(few.code == 0 && few.errors.contains("warning") && few.errors.contains("2 pictures for 3 features"))
  }
}
