import Engine

/// Training, validation and test examples.
///
/// What an example's content hashes to decides where it goes. So identical pictures never stand on both sides, and an example stays where it is when
/// others are added or taken away. The shares are those of a large number; a small set can be off by a few. Pictures that are only nearly
/// the same (resized, compressed again with loss) are different contents.
public struct Split: Sendable, Equatable {
  public enum Part: String, Sendable, CaseIterable {
    case train, validation, test
  }

  public let train: [Int]
  public let validation: [Int]
  public let test: [Int]

  public subscript(part: Part) -> [Int] {
    switch part {
    case .train: train
    case .validation: validation
    case .test: test
    }
  }

  /// - Parameters:
  ///   - validation, test: shares of all, 0 to 1; what is left is for training.
  ///   - salt: another number, another split.
  /// - Throws: `InputError` `.usage` for shares that leave nothing to train with; what `digest` throws.
  public init(_ source: some ExampleSource, validation: Double, test: Double, salt: UInt64 = 0) throws {
    guard validation >= 0, test >= 0, validation + test < 1 else {
      throw InputError(.usage, "split: shares of \(validation) and \(test) leave nothing to train with", hint: "0.05 and 0.05 are usual")
    }
    var parts: [Part: [Int]] = [:]
    for index in 0..<source.count {
      let place = try source.digest(index).unit(salt: salt)
      let part: Part = place < test ? .test : place < test + validation ? .validation : .train
      parts[part, default: []].append(index)
    }
    train = parts[.train] ?? []
    self.validation = parts[.validation] ?? []
    self.test = parts[.test] ?? []
  }
}
