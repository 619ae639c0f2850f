/// The text chunks that go into a PNG file, in order.
public struct PictureMetadata: Sendable, Equatable {
  private(set) var chunks: [[UInt8]] = []

  public init() {}

  /// Adds a text: tEXt when it is Latin-1, iTXt when it is not. NUL characters are dropped.
  ///
  /// - Throws: `InputError` `.usage` when `keyword` is not 1 to 79 printable Latin-1 characters, or the text longer than 64 MiB.
  public mutating func add(_ text: String, keyword: String) throws { try add(text, keyword: keyword, international: false) }

  /// `international` writes iTXt even when the text is Latin-1, as XMP demands.
  mutating func add(_ text: String, keyword: String, international: Bool) throws {
    guard PNG.isKeyword(keyword) else {
      throw InputError(.usage, "PNG text: expected a keyword of 1 to 79 printable Latin-1 characters, found \"\(keyword.prefix(90))\"")
    }
    guard text.utf8.count <= 64 << 20 else {
      throw InputError(.usage, "PNG text \(keyword): expected at most \(64 << 20) bytes, found \(text.utf8.count)")
    }
    chunks.append(PNG.Text(keyword: keyword, text: text).chunk(international: international))
  }
}

extension PictureMetadata {
  /// What every picture of ours carries: A1111's `parameters`, for the programs that read it; `sdlab`, for ourselves; XMP, for everybody
  /// who wants to know that a trained model made it.
  public init(_ parameters: GenerationParameters) throws {
    self.init()
    try add(parameters.a1111, keyword: "parameters")
    try add(parameters.json(), keyword: GenerationParameters.keyword)
    try addOrigin(sdlabVersion: parameters.sdlabVersion)
  }

  /// XMP alone: for pictures that a trained model made but that no parameters describe, such as decoded latents and contact sheets.
  public mutating func addOrigin(sdlabVersion: String) throws {
    try add(XMP.packet(tool: "sdlab \(sdlabVersion)"), keyword: XMP.keyword, international: true)
  }
}
