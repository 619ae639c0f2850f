/// One colour of each noun that no training scene shows, so that a model can be asked for combinations that it has never seen.
public enum HeldOut {
  /// The colour that is held out for a noun.
  public static func colour(of noun: Noun) -> ObjectColour {
    switch noun {
    case .circle: .brown
    case .triangle, .balloon: .white
    case .square, .fish: .pink
    case .star, .mushroom: .green
    case .heart, .cat: .blue
    case .tree, .car: .purple
    case .house, .cloud: .orange
    case .flower, .moon: .red
    case .boat: .yellow
    }
  }

  public static func contains(_ noun: Noun, _ colour: ObjectColour) -> Bool { Self.colour(of: noun) == colour }

  /// Which combinations of noun and colour a scene may show.
  public enum Rule: String, Sendable, CaseIterable {
    /// None that is held out: what a model is trained with.
    case never
    /// All, each as likely as any other.
    case allowed
    /// Nothing but what is held out.
    case only
  }
}
