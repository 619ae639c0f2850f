import Engine
import Foundation
import Testing

@testable import Training

/// Data sets: folders, splits, order, framing, augmentation.
@Suite struct DataTests {
  /// A folder that goes away afterwards.
  private struct Place: ~Copyable {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("data-\(UInt64.random(in: 0...UInt64.max))")
    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }
    func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: url.appendingPathComponent(name)) }
    func write(_ name: String, _ picture: Picture) throws { try picture.writePNG(to: url.appendingPathComponent(name)) }
  }

  /// Every number another picture.
  private static func picture(_ k: Int, width: Int = 12, height: Int = 8) -> Picture {
    Picture(width: width, height: height, pixels: (0..<3 * width * height).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ k &* 31) })
  }

  // MARK: Folders

  @Test func textFilesBesidePictures() throws {
    let place = try Place()
    try place.write("b.png", Self.picture(1))
    try place.write("b.txt", "  a red\n house ")
    try place.write("a.PNG", Self.picture(2))
    try place.write("a.txt", "a tree")
    try place.write("notes.md", "nothing")
    let folder = try ImageFolder(place.url)
    #expect(folder.count == 2)
    #expect(try folder.example(0, epoch: 0) == Example(picture: Self.picture(2), caption: "a tree"))
    #expect(try folder.example(1, epoch: 5).caption == "a red house")
  }

  /// Pictures without a caption are refused, unless captions are optional: then a new word's templates stand in, in turn.
  @Test(arguments: [false, true]) func captionsMayBeMissing(inMetadata: Bool) throws {
    let place = try Place()
    for (k, name) in ["a.png", "b.png", "c.png"].enumerated() { try place.write(name, Self.picture(k)) }
    if inMetadata {
      try place.write(
        "metadata.jsonl", "{\"file_name\":\"a.png\",\"text\":\"a red <x>\"}\n{\"file_name\":\"b.png\"}\n{\"file_name\":\"c.png\"}\n")
    } else {
      try place.write("a.txt", "a red <x>")
    }
    let url = place.url
    #expect(throws: InputError.self) { try ImageFolder(url) }
    let folder = try ImageFolder(url, captions: .optional)
    let source = WordSource(folder, templates: ["a <x>", "one <x>"])
    #expect((0..<3).map { source.caption($0, epoch: 0) } == ["a red <x>", "one <x>", "a <x>"])
    #expect((0..<3).map { source.caption($0, epoch: 1) } == ["a red <x>", "a <x>", "one <x>"])
    #expect(source.captions(0) == ["a red <x>"] && source.captions(2) == ["a <x>", "one <x>"])
    #expect(try source.example(1, epoch: 0) == Example(picture: Self.picture(1), caption: "one <x>"))
  }

  @Test func metadataAsScenesWriteIt() throws {
    let place = try Place()
    let scenes = SceneFolder(seed: 2, count: 12, size: 32)
    let target = place.url.appendingPathComponent("scenes")
    try scenes.write(to: target)
    let folder = try ImageFolder(target)
    #expect(folder.count == 12)
    let source = SceneSource(seed: 2, count: 12, size: 32)
    for i in 0..<12 { #expect(try folder.example(i, epoch: 0) == source.example(i, epoch: 0)) }
    // The masks are the scenes', and the factors draw the same picture again.
    let masks = try Npy.read(target.appendingPathComponent("masks.npy"))
    #expect(masks.shape == [12, 32, 32])
    let values = try masks.float32()
    #expect(try Array(values[7 * 1024..<8 * 1024]) == scenes.scene(7).rendered(size: 32).labels.map(Float.init))
    let lines = try String(contentsOf: target.appendingPathComponent("metadata.jsonl"), encoding: .utf8).split(separator: "\n")
    #expect(try Scene(json: lines[7], place: "line 8") == scenes.scene(7))
  }

  @Test func badFolders() throws {
    func expectError(_ kind: InputError.Kind, _ parts: String..., prepare: (borrowing Place) throws -> Void) throws {
      let place = try Place()
      try prepare(place)
      let url = place.url
      let error = #expect(throws: InputError.self) { try ImageFolder(url) }
      #expect(error?.kind == kind, "\(error?.description ?? "")")
      for part in parts { #expect(error?.description.contains(part) == true, "\(error?.description ?? "")") }
    }
    #expect(throws: InputError.self) { try ImageFolder(URL(fileURLWithPath: "/nowhere/at/all")) }
    try expectError(.badData, "holds no pictures") { _ in }
    try expectError(.badData, "a.png", "has no caption", "a.txt") { try $0.write("a.png", Self.picture(1)) }
    try expectError(.badData, "a.txt", "caption is empty") {
      try $0.write("a.png", Self.picture(1))
      try $0.write("a.txt", " \n")
    }
    try expectError(.badData, "a.jpg", "expected a PNG or JPEG") {
      try $0.write("a.jpg", "GIF89a")
      try $0.write("a.txt", "a house")
    }
    try expectError(.badData, "b.png", "shows exactly what a.png shows") {
      for name in ["a", "b"] {
        try $0.write("\(name).png", Self.picture(1))
        try $0.write("\(name).txt", name)
      }
    }
    try expectError(.badData, "a.jpg and a.png would share a caption") {
      try $0.write("a.png", Self.picture(1))
      try $0.write("a.jpg", Self.picture(2))
      try $0.write("a.txt", "a")
    }
    try expectError(.badData, "metadata.jsonl: line 2", "file_name") { try $0.write("metadata.jsonl", "\n{}") }
    try expectError(.badData, "line 2", "a.png was on line 1 already") {
      try $0.write("metadata.jsonl", #"{"file_name":"a.png","text":"a"}"# + "\n" + #"{"file_name":"a.png","text":"b"}"#)
    }
    try expectError(.badData, "does not lie in the folder") {
      try $0.write("metadata.jsonl", #"{"file_name":"../a.png","text":"a"}"#)
    }
    try expectError(.missing, "a.png") { try $0.write("metadata.jsonl", #"{"file_name":"a.png","text":"a"}"#) }
  }

  // MARK: Splits

  /// Sources without files: the content of example i is `contents[i]`.
  private struct Made: ExampleSource {
    let contents: [Int]
    var count: Int { contents.count }
    func example(_ index: Int, epoch: Int) throws -> Example {
      Example(picture: DataTests.picture(contents[index]), caption: "number \(index) to the left of \(epoch)")
    }
    func digest(_ index: Int) throws -> ContentDigest { ContentDigest("\(contents[index])") }
  }

  @Test func identicalPicturesStayTogether() throws {
    // In files: the same picture under two names, and compressed with other texts in the file.
    let place = try Place()
    for i in 0..<30 {
      for name in ["one-\(i)", "two-\(i)"] {
        var metadata = PictureMetadata()
        try metadata.add(name, keyword: "Title")
        try Self.picture(i).writePNG(to: place.url.appendingPathComponent("\(name).png"), metadata: metadata)
        try place.write("\(name).txt", name)
      }
    }
    let folder = try ImageFolder(place.url, duplicates: .keep)
    #expect(folder.count == 60)
    let split = try Split(folder, validation: 0.25, test: 0.25)
    #expect(!split.validation.isEmpty && !split.test.isEmpty && !split.train.isEmpty)
    for part in Split.Part.allCases {
      let names = Set(split[part].map { folder.url($0).lastPathComponent })
      for name in names { #expect(names.contains((name.hasPrefix("one") ? "two" : "one") + name.dropFirst(3))) }
    }
  }

  @Test func splitsAreStableAndFair() throws {
    let few = Made(contents: Array(0..<4000))
    let split = try Split(few, validation: 0.1, test: 0.2)
    #expect(split.train.count + split.validation.count + split.test.count == 4000)
    #expect(abs(split.validation.count - 400) < 100 && abs(split.test.count - 800) < 130)
    // The same contents in another order, between others: every content stays on its side.
    let more = Made(contents: (0..<6000).reversed())
    let later = try Split(more, validation: 0.1, test: 0.2)
    for part in Split.Part.allCases {
      #expect(Set(split[part].map { few.contents[$0] }) == Set(later[part].map { more.contents[$0] }.filter { $0 < 4000 }))
    }
    #expect(try Split(few, validation: 0.1, test: 0.2, salt: 1) != split)
    #expect(throws: InputError.self) { try Split(few, validation: 0.5, test: 0.5) }
    #expect(throws: InputError.self) { try Split(few, validation: .nan, test: 0) }
  }

  // MARK: Order

  @Test func orderShowsEachOnceAndGoesOn() {
    var whole = ShuffledOrder(count: 7, seed: 3)
    let steps = (0..<40).map { _ in whole.next() }
    for epoch in 0..<5 {
      let part = steps[7 * epoch..<7 * (epoch + 1)]
      #expect(part.allSatisfy { $0.epoch == epoch } && part.map(\.index).sorted() == Array(0..<7))
    }
    #expect(steps[0..<7].map(\.index) != steps[7..<14].map(\.index))
    for start in [0, 1, 6, 7, 20] {
      var resumed = ShuffledOrder(count: 7, seed: 3, position: start)
      let rest = (start..<40).map { _ in resumed.next() }
      #expect(rest.map(\.index) == steps[start...].map(\.index) && rest.map(\.epoch) == steps[start...].map(\.epoch))
    }
    var other = ShuffledOrder(count: 7, seed: 4)
    let others = (0..<40).map { _ in other.next().index }
    #expect(others != steps.map(\.index))
  }

  /// Everything is on; an interrupted walk gives the same examples as one that was not.
  @Test func resumedDataAreTheSame() throws {
    var augmentation = Augmentation()
    augmentation.flip = 0.5
    augmentation.rotation = 10
    augmentation.scale = 0.9...1.2
    augmentation.colourJitter = 0.2
    augmentation.composite = 0.3
    let framing = Framing(width: 8, height: 8, crop: .random)
    func data(_ seed: UInt64, _ position: Int) throws -> TrainingData {
      try TrainingData(
        Made(contents: Array(0..<10)), indices: [1, 3, 5, 7, 9], framing: framing, augmentation: augmentation, seed: seed,
        position: position)
    }
    var whole = try data(1, 0)
    let all = try (0..<23).map { _ in try whole.nextExample() }
    #expect(whole.position == 23)
    var resumed = try data(1, 11)
    let rest = try (11..<23).map { _ in try resumed.nextExample() }
    #expect(rest == Array(all[11...]))
    var other = try data(2, 0)
    let others = try (0..<23).map { _ in try other.nextExample() }
    #expect(others != all)
    // Epochs augment anew: the same example differs.
    let epochs = try (0..<2).map { try whole.example(2, epoch: $0).picture }
    #expect(epochs[0] != epochs[1])
    // Batches are the same examples as tensors in -1...1.
    var batches = try data(1, 0)
    let batch = try batches.next(4)
    #expect(batch.pixels.shape == [4, 8, 8, 3] && batch.captions == all[..<4].map(\.caption))
    #expect(Picture(batch.pixels, index: 2) == all[2].picture)
    // By their number they are the same, whatever was asked for before.
    let third = try whole.batch(2, size: 4)
    #expect(third.captions == all[8..<12].map(\.caption) && Picture(third.pixels, index: 3) == all[11].picture)
    #expect(batch.pixels.array.allSatisfy { (-1...1).contains($0) })
  }

  /// What is kept is what is made anew: with room for two pictures and with room for all.
  @Test func framedPicturesAreKept() throws {
    var made = 0
    let kept = FramedPictures(bytes: 2 * 3 * 12 * 8)
    func ask(_ k: Int) -> Picture {
      kept(k) {
        made += 1
        return Self.picture(k)
      }
    }
    for k in [0, 1, 2, 0, 1, 2] { #expect(ask(k) == Self.picture(k)) }
    #expect(made == 4)
    let data = try TrainingData(Made(contents: Array(0..<10)), indices: [4, 6, 8], framing: Framing(width: 6, height: 6), seed: 3)
    var random = NumPyRandom(seed: 0)
    let expected = Set([4, 6, 8].map { data.framing.apply(Self.picture($0), &random).pixels })
    for _ in 0..<2 {
      let pictures = try data.framed(0..<3)
      #expect(Set((0..<3).map { Picture(pictures, index: $0).pixels }) == expected)
      #expect(try Picture(data.framed(1..<2)) == Picture(pictures, index: 1))
    }
    // The walk of the first epoch.
    #expect(try data.framed(0..<3).array == data.batch(0, size: 3).pixels.array)
  }

  /// Whatever stands beside the pictures: a folder for an autoencoder needs no captions and takes no notice of them.
  @Test func captionsMayBeIgnored() throws {
    let place = try Place()
    try place.write("a.png", Self.picture(1))
    try place.write("b.png", Self.picture(2))
    try place.write("b.txt", "a tree")
    try FileManager.default.copyItem(at: place.url.appendingPathComponent("b.png"), to: place.url.appendingPathComponent("a.jpg"))
    let url = place.url
    #expect(throws: InputError.self) { try ImageFolder(url, duplicates: .keep, captions: .optional) }
    let folder = try ImageFolder(url, duplicates: .keep, captions: .ignored)
    #expect(folder.count == 3 && (0..<3).allSatisfy { folder.caption($0, epoch: 0).isEmpty })
    try place.write("metadata.jsonl", "{\"file_name\":\"b.png\",\"text\":\"a tree\"}\n")
    let listed = try ImageFolder(url, captions: .ignored)
    #expect(listed.count == 1 && listed.caption(0, epoch: 0).isEmpty)
  }

  @Test func scenesAsData() throws {
    let source = SceneSource(seed: 9, count: 50)
    var data = try TrainingData(source, framing: Framing(width: 64, height: 64), seed: 1)
    let example = try data.nextExample()
    #expect(try (0..<50).contains { try source.example($0, epoch: 0) == example })
    // The picture stays, the caption changes from epoch to epoch.
    let captions = try (0..<20).map { try source.example(4, epoch: $0).caption }
    #expect(Set(captions).count > 3 && captions.allSatisfy { source.scene(4).captions[$0] != nil })
    #expect(try source.example(4, epoch: 0).picture == source.example(4, epoch: 9).picture)
    #expect(Set(try (0..<50).map { try source.digest($0) }).count == 50)
  }

  // MARK: Framing

  @Test func framing() {
    var random = NumPyRandom(seed: 1)
    let wide = Self.picture(0, width: 24, height: 8)
    let centre = Framing(width: 8, height: 8).apply(wide, &random)
    #expect(centre == wide.cropped(x: 8, y: 0, width: 8, height: 8))
    let crops = (0..<200).map { _ in Framing(width: 8, height: 8, crop: .random).apply(wide, &random) }
    let possible = (0...16).map { wide.cropped(x: $0, y: 0, width: 8, height: 8) }
    #expect(possible.allSatisfy { crops.contains($0) } && crops.allSatisfy { possible.contains($0) })
    // Nothing is distorted: the shorter side decides.
    let tall = Self.picture(3, width: 10, height: 31)
    let framed = Framing(width: 20, height: 16).apply(tall, &random)
    #expect(framed == tall.resized(width: 20, height: 62).cropped(x: 0, y: 23, width: 20, height: 16))
    for (w, h) in [(1, 1), (7, 3), (3, 7), (100, 1)] {
      let out = Framing(width: 5, height: 4).apply(Self.picture(0, width: w, height: h), &random)
      #expect(out.width == 5 && out.height == 4)
    }
  }

  // MARK: Augmentation

  @Test(arguments: [
    ("a red house to the left of a tree", "a red house to the right of a tree"), ("right of it, left of that", "left of it, right of that"),
    ("Left-hand LEFT, right!", "Right-hand RIGHT, left!"), ("a bright leftover", "a bright leftover"), ("", ""),
  ])
  func flippingSwapsTheWords(_ caption: String, _ mirrored: String) {
    #expect(Augmentation.mirrored(caption) == mirrored)
    #expect(Augmentation.mirrored(mirrored) == caption)
  }

  @Test func flippingMirrorsThePicture() throws {
    var augmentation = Augmentation()
    augmentation.flip = 1
    var random = NumPyRandom(seed: 1)
    let example = Example(picture: Self.picture(1), caption: "a cat left of a dog")
    let flipped = augmentation.apply(example, &random) { _ in example }
    #expect(flipped.caption == "a cat right of a dog")
    for (x, y) in [(0, 0), (3, 5), (11, 7)] { #expect(flipped.picture[11 - x, y] == example.picture[x, y]) }
    #expect(flipped.picture.mirrored == example.picture)
    // Half of the time.
    augmentation.flip = 0.5
    let share = (0..<2000).filter { i in
      var random = NumPyRandom(seed: 1, UInt64(i))
      return augmentation.apply(example, &random) { _ in example }.caption != example.caption
    }.count
    #expect(abs(share - 1000) < 120)
  }

  /// A dot at a known place goes where the turn and the magnification put it.
  @Test func turningAndScaling() {
    var pixels = [UInt8](repeating: 0, count: 3 * 21 * 21)
    for c in 0..<3 { pixels[3 * (10 * 21 + 15) + c] = 255 }  // five to the right of the middle
    let dot = Picture(width: 21, height: 21, pixels: pixels)
    func brightest(_ p: Picture) -> (Int, Int) {
      let i = (0..<441).max { p.pixels[3 * $0] < p.pixels[3 * $1] } ?? 0
      return (i % 21, i / 21)
    }
    #expect(brightest(dot.turned(degrees: 90, scaled: 1)) == (10, 15))  // clockwise: below
    #expect(brightest(dot.turned(degrees: -90, scaled: 1)) == (10, 5))
    #expect(brightest(dot.turned(degrees: 0, scaled: 2)) == (20, 10))
    #expect(dot.turned(degrees: 0, scaled: 1) == dot)
    let one = Picture(width: 9, height: 5, colour: (10, 200, 30))
    #expect(one.turned(degrees: 37, scaled: 0.5) == one)
  }

  @Test func relighting() {
    let p = Self.picture(5)
    #expect(p.relit(brightness: 1, contrast: 1, saturation: 1) == p)
    let grey = p.relit(brightness: 1, contrast: 1, saturation: 0)
    #expect((0..<96).allSatisfy { abs(Int(grey.pixels[3 * $0]) - Int(grey.pixels[3 * $0 + 2])) <= 1 })
    let flat = p.relit(brightness: 1, contrast: 0, saturation: 1)
    #expect(Set(flat.pixels).count == 1)
    let half = Picture(width: 1, height: 1, colour: (100, 50, 200)).relit(brightness: 0.5, contrast: 1, saturation: 1)
    #expect(half.pixels == [50, 25, 100])
  }

  @Test func composites() throws {
    let red = Example(picture: Picture(width: 8, height: 4, colour: (255, 0, 0)), caption: "a fire")
    let blue = Example(picture: Picture(width: 8, height: 4, colour: (0, 0, 255)), caption: "a sea")
    let both = Augmentation.sideBySide(red, blue)
    #expect(both.caption == "a fire on the left, a sea on the right")
    #expect(both.picture[3, 1] == (255, 0, 0) && both.picture[4, 1] == (0, 0, 255))
    // Mirrored, it is the composite of the other order.
    let turned = Augmentation.sideBySide(blue, red)
    #expect(both.picture.mirrored == turned.picture)
    #expect(Augmentation.mirrored(both.caption) == "a fire on the right, a sea on the left")
    var augmentation = Augmentation()
    augmentation.composite = 1
    var random = NumPyRandom(seed: 1)
    let made = augmentation.apply(red, &random) { _ in blue }
    #expect(made == both)
  }

  @Test func settingsOutsideTheirRanges() {
    func bad(_ change: (inout Augmentation) -> Void) {
      var augmentation = Augmentation()
      change(&augmentation)
      #expect(throws: InputError.self) { try augmentation.check() }
    }
    bad { $0.flip = 1.5 }
    bad { $0.flip = .nan }
    bad { $0.rotation = 90 }
    bad { $0.scale = 0.1...1 }
    bad { $0.colourJitter = 1 }
    bad { $0.composite = -1 }
    #expect(throws: InputError.self) {
      try TrainingData(Made(contents: [1]), indices: [], framing: Framing(width: 8, height: 8), seed: 1)
    }
  }
}
