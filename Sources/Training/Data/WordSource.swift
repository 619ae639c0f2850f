/// Pictures of what a new word is to stand for: with their own captions, and templates where they have none.
public struct WordSource: ExampleSource {
  public let pictures: ImageFolder
  /// Captions that name the word.
  public let templates: [String]

  public var count: Int { pictures.count }

  public init(_ pictures: ImageFolder, templates: [String]) {
    precondition(!templates.isEmpty, "no templates")
    (self.pictures, self.templates) = (pictures, templates)
  }

  public func example(_ index: Int, epoch: Int) throws -> Example {
    Example(picture: try pictures.example(index, epoch: epoch).picture, caption: caption(index, epoch: epoch))
  }

  /// The picture's own, or a template: another one in each epoch, and for neighbours.
  public func caption(_ index: Int, epoch: Int) -> String {
    let own = pictures.caption(index, epoch: epoch)
    return own.isEmpty ? templates[(index + epoch) % templates.count] : own
  }

  /// All captions that a picture can have.
  public func captions(_ index: Int) -> [String] {
    let own = pictures.caption(index, epoch: 0)
    return own.isEmpty ? templates : [own]
  }

  public func digest(_ index: Int) throws -> ContentDigest { try pictures.digest(index) }
}
