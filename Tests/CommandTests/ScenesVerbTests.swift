import Engine
import Foundation
import Testing

/// `sdlab scenes`.
@Suite struct ScenesVerbTests {
  @Test func writesAFolder() throws {
    let place = try Workplace()
    let result = try place.run("scenes", "--count", "12", "--seed", "3", "--out", "world", "--sheet", "sheet.png", "-q")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    #expect(result.lines == ["world", "sheet.png"])
    let names = try FileManager.default.contentsOfDirectory(atPath: place.url("world").path).sorted()
    #expect(names == (0..<12).map { $0 < 10 ? "0\($0).png" : "\($0).png" } + ["masks.npy", "metadata.jsonl"])
    #expect(try place.files().filter { !$0.hasPrefix(".") } == ["sheet.png", "world"])

    let lines = try String(contentsOf: place.url("world/metadata.jsonl"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 12)
    for (i, line) in lines.enumerated() {
      let row = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(row["file_name"] as? String == names[i] && row["index"] as? Int == i)
      let objects = try #require(row["objects"] as? [[String: Any]])
      #expect((row["relation"] is NSNull) == (objects.count == 1))
      #expect((row["plain"] is NSNull) == (row["setting"] as? String != "plain"))
      let text = try #require(row["text"] as? String)
      for noun in objects.compactMap({ $0["noun"] as? String }) { #expect(text.contains(noun)) }
      let picture = try Picture(url: place.url("world/\(names[i])"))
      #expect(picture.width == 64 && picture.height == 64)
    }
    let masks = try Npy.read(place.url("world/masks.npy"))
    #expect(masks.shape == [12, 64, 64])
    #expect(Set(try masks.float32()).isSubset(of: [0, 1, 2]))
    #expect(try Picture(url: place.url("sheet.png")).width > 1000)

    // One thread, fewer scenes, another caption: the pictures are the same.
    let other = try place.run(
      "scenes", "--count", "5", "--seed", "3", "-o", "few", "--caption-variant", "1", "--json", "-q", environment: ["SDLAB_THREADS": "1"])
    #expect(other.code == 0, "\(other.errors)")
    #expect(try other.json()["scenes"] as? Int == 5)
    for i in 0..<5 { #expect(try Data(contentsOf: place.url("few/\(i).png")) == Data(contentsOf: place.url("world/\(names[i])"))) }
    let few = try String(contentsOf: place.url("few/metadata.jsonl"), encoding: .utf8).split(separator: "\n")
    #expect(zip(few, lines).contains { $0 != $1 })
  }

  @Test func heldOutSizesAndObjects() throws {
    let place = try Workplace()
    let result = try place.run(
      "scenes", "--count", "6", "--size", "96", "--objects", "2", "--held-out", "only", "--out", "unseen", "-q")
    #expect(result.code == 0, "\(result.errors)")
    let held = ["circle": "brown", "cat": "blue", "house": "orange", "car": "purple"]
    for line in try String(contentsOf: place.url("unseen/metadata.jsonl"), encoding: .utf8).split(separator: "\n") {
      let row = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let objects = try #require(row["objects"] as? [[String: Any]])
      #expect(objects.count == 2)
      for o in objects { if let noun = o["noun"] as? String, let colour = held[noun] { #expect(o["colour"] as? String == colour) } }
    }
    #expect(try Picture(url: place.url("unseen/0.png")).width == 96)
    #expect(try Npy.read(place.url("unseen/masks.npy")).shape == [6, 96, 96])
  }

  @Test func refusals() throws {
    let place = try Workplace()
    expectError(try place.run("scenes", "--count", "0"), 64, "--count 0", "1 to 10000000")
    expectError(try place.run("scenes", "--size", "7"), 64, "--size 7", "8 to 4096")
    expectError(try place.run("scenes", "--objects", "3"), 64, "--objects 3")
    expectError(try place.run("scenes", "--caption-variant=-1"), 64, "--caption-variant -1")
    #expect(try place.run("scenes", "--held-out", "some").code == 64)
    expectError(try place.run("scenes", "--out", "nowhere/deep", "-q"), 73, "there is no folder")
    expectError(try place.run("scenes", "--sheet", "s.jpg", "-q"), 64, "s.jpg", ".png")
    #expect(try place.files().filter { !$0.hasPrefix(".") } == [])
    // What is not a folder of scenes is never replaced, not even with -f.
    try FileManager.default.createDirectory(at: place.url("mine"), withIntermediateDirectories: true)
    try Data("dear".utf8).write(to: place.url("mine/letter.txt"))
    expectError(try place.run("scenes", "--count", "1", "--out", "mine", "-f", "-q"), 73, "mine", "holds other things")
    expectError(try place.run("scenes", "--count", "1", "--out", "mine/letter.txt", "-f", "-q"), 73, "is a file")
    #expect(try String(contentsOf: place.url("mine/letter.txt"), encoding: .utf8) == "dear")
    #expect(try place.run("scenes", "--count", "3", "--out", "w", "-q").code == 0)
    expectError(try place.run("scenes", "--count", "2", "--out", "w", "-q"), 73, "w: is there already", "-f replaces it")
    #expect(try place.run("scenes", "--count", "2", "--out", "w", "-f", "-q").lines == ["w"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("w").path).count == 4)
  }

  @Test func dryRunWritesNothing() throws {
    let place = try Workplace()
    let plan = try place.run("scenes", "--count", "1000", "--dry-run", "--json").json()
    #expect(plan["scenes"] as? Int == 1000 && plan["writes"] as? Bool == false)
    #expect(try place.files().filter { !$0.hasPrefix(".") } == [])
    // An estimate that is near.
    let planned = try #require(try place.run("scenes", "--count", "100", "--dry-run", "--json").json()["disk_bytes"] as? Double)
    _ = try place.run("scenes", "--count", "100", "-q")
    let files = try FileManager.default.contentsOfDirectory(atPath: place.url("scenes-42").path)
    let found = try files.reduce(0) { sum, name in
      sum + ((try FileManager.default.attributesOfItem(atPath: place.url("scenes-42/\(name)").path))[.size] as? Int ?? 0)
    }
    #expect(abs(planned - Double(found)) < 0.25 * Double(found), "\(planned) planned, \(found) found")
  }

  /// Stopped in the middle, it leaves nothing behind.
  @Test func interrupted() throws {
    let place = try Workplace()
    let process = try place.start(["scenes", "--count", "1000000", "--out", "many"])
    let deadline = ContinuousClock.now + .seconds(20)
    // Wait until it writes.
    while try FileManager.default.contentsOfDirectory(atPath: place.folder.path).isEmpty, ContinuousClock.now < deadline {
      Thread.sleep(forTimeInterval: 0.02)
    }
    Thread.sleep(forTimeInterval: 0.3)
    kill(process.processIdentifier, SIGINT)
    while process.isRunning, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.folder.path).filter { $0 != "cache" } == [])
  }
}
