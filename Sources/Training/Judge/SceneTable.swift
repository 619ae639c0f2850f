/// Scores apart for one and two objects, and for combinations of noun and colour that a model has seen and those held out.
public struct SceneTable: Sendable {
  public struct Group: Hashable, Sendable, CaseIterable {
    /// 1 or 2.
    public let objects: Int
    /// All objects are of held-out combinations; none is otherwise.
    public let isHeldOut: Bool

    public static let allCases = [1, 2].flatMap { objects in [false, true].map { Group(objects: objects, isHeldOut: $0) } }

    /// `one object, seen`.
    public var words: String { "\(objects == 1 ? "one object" : "two objects"), \(isHeldOut ? "held out" : "seen")" }

    public init(objects: Int, isHeldOut: Bool) { (self.objects, self.isHeldOut) = (objects, isHeldOut) }

    public init(_ scene: Scene) {
      self.init(objects: scene.objects.count, isHeldOut: scene.objects.allSatisfy { HeldOut.contains($0.noun, $0.colour) })
    }
  }

  private var scores: [Group: SceneScores] = [:]

  public init() {}

  public mutating func add(_ judged: Judgement, asked scene: Scene, told: Scene.Told? = nil) {
    scores[Group(scene), default: SceneScores()].add(judged, asked: scene, told: told)
  }

  public subscript(_ group: Group, _ question: SceneScores.Question) -> Proportion {
    scores[group]?.counts[question] ?? Proportion(0, of: 0)
  }

  /// One number: a question in a group.
  public struct Row: Sendable, Equatable {
    public let group: Group
    public let question: SceneScores.Question
    public let proportion: Proportion
    public var total: Int { proportion.total }
  }

  /// Group by group; the relation of pairs only.
  public var rows: [Row] {
    Group.allCases.flatMap { group in
      SceneScores.Question.allCases.filter { $0 != .relation || group.objects == 2 }.map {
        Row(group: group, question: $0, proportion: self[group, $0])
      }
    }
  }
}

extension Scene {
  /// Prompts and tests: scene i of a seed, the four groups of `SceneTable` one after another, so that each has a quarter.
  public static func balanced(seed: UInt64, index: Int) -> Scene {
    let group = SceneTable.Group.allCases[index % SceneTable.Group.allCases.count]
    return sample(seed: seed, index: index, objects: group.objects, heldOut: group.isHeldOut ? .only : .never)
  }
}
