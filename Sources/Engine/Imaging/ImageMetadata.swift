import Foundation

/// What a PNG or JPEG file says about itself, without decoding its pixels.
public struct ImageMetadata: Sendable, Equatable {
  public enum Format: String, Sendable {
    case png = "PNG"
    case jpeg = "JPEG"
  }

  public struct Text: Sendable, Equatable {
    /// PNG's keyword; `Comment`, `UserComment` or `XML:com.adobe.xmp` for the texts of a JPEG.
    public let keyword: String
    public let text: String
  }

  public let format: Format
  /// As stored, before the orientation is applied; nil when the header is damaged.
  public private(set) var width: Int?
  public private(set) var height: Int?
  /// EXIF orientation, 1 to 8.
  public private(set) var orientation = 1
  /// In the order of the file.
  public private(set) var texts: [Text] = []
  /// What could not be read, one line each: damage, texts beyond the limits.
  public private(set) var notes: [String] = []

  /// No text is longer than this many bytes once decompressed, and together they are no longer than twice that: a compressed text may claim
  /// more.
  static let maximumText = 8 << 20

  /// The first text under `keyword`.
  public func text(_ keyword: String) -> String? { texts.first { $0.keyword == keyword }?.text }

  /// The XMP packet, if there is one.
  public var xmp: String? { text(XMP.keyword) }

  /// - Throws: `InputError` `.missing` when the file cannot be read, `.badData` when it is neither PNG nor JPEG.
  public static func read(url: URL) throws -> ImageMetadata { try read(bytes: ImageFile.bytes(of: url), name: url.path) }

  /// Damaged files give what can be read, and `notes` say where it ends.
  ///
  /// - Throws: `InputError` `.badData` when the bytes are neither PNG nor JPEG.
  public static func read(bytes: [UInt8], name: String) throws -> ImageMetadata {
    switch ImageFile.Format(bytes) {
    case .png: return ImageMetadata(png: bytes)
    case .jpeg: return ImageMetadata(jpeg: bytes)
    case nil: throw InputError(.badData, "\(name): expected a PNG or JPEG picture, found \(ImageFile.describe(bytes))")
    }
  }

  private init(png bytes: [UInt8]) {
    format = .png
    let (chunks, whole) = PNG.chunks(bytes)
    if !whole { notes.append("the file is damaged or ends too early after \(chunks.count) sound chunks") }
    for chunk in chunks {
      let content = bytes[chunk.content]
      switch chunk.type {
      case "IHDR" where content.count == 13 && width == nil:
        width = Int(bytes.bigEndian32(chunk.content.lowerBound))
        height = Int(bytes.bigEndian32(chunk.content.lowerBound + 4))
      case "tEXt", "zTXt", "iTXt":
        switch PNG.text(chunk.type, content, limit: Self.maximumText) {
        case .success(let text): add(text.keyword, text.text)
        case .failure(let problem): notes.append("\(chunk.type): \(problem.reason)")
        }
      case "eXIf": add(EXIF(tiff: content))
      default: break
      }
    }
  }

  private init(jpeg bytes: [UInt8]) {
    format = .jpeg
    let segments = JPEG.segments(bytes)
    for segment in segments {
      let content = bytes[segment.content]
      switch segment.marker {
      case 0xfe: add("Comment", String(validating: content, as: UTF8.self) ?? content.latin1)
      case 0xe1 where content.begins(with: XMP.jpegPrefix):
        add(XMP.keyword, String(decoding: content.dropFirst(XMP.jpegPrefix.utf8.count), as: UTF8.self))
      case 0xc0...0xcf where ![0xc4, 0xc8, 0xcc].contains(segment.marker) && content.count >= 5 && width == nil:
        let at = content.startIndex
        height = Int(content[at + 1]) << 8 | Int(content[at + 2])
        width = Int(content[at + 3]) << 8 | Int(content[at + 4])
      default: break
      }
    }
    add(EXIF(jpeg: bytes))
    if width == nil { notes.append("the file is damaged or ends too early after \(segments.count) sound segments") }
  }

  private mutating func add(_ exif: EXIF?) {
    guard let exif else { return }
    orientation = exif.orientation
    if let comment = exif.userComment, !comment.isEmpty { add("UserComment", comment) }
  }

  private mutating func add(_ keyword: String, _ text: String) {
    guard texts.reduce(text.utf8.count, { $0 + $1.text.utf8.count }) <= 2 * Self.maximumText, texts.count < 1000 else {
      notes.append("\(keyword.oneLine): left out, the texts are too many or too long")
      return
    }
    texts.append(Text(keyword: keyword, text: text))
  }
}

// MARK: - How the picture was made

extension ImageMetadata {
  /// How a picture was made, as far as its file tells.
  public enum Origin: Sendable, Equatable {
    /// By this program: everything to make it again.
    case sdlab(GenerationParameters)
    /// By another one.
    case foreign(ForeignParameters)
  }

  /// How the picture was made: `sdlab`'s own record, else A1111's or stable-diffusion.cpp's `parameters`, else ComfyUI's `prompt` or
  /// `workflow`. nil when the file says nothing of the kind.
  ///
  /// - Throws: `InputError` `.badData` when `sdlab`'s own record is damaged.
  public func origin(name: String) throws -> Origin? {
    if let json = text(GenerationParameters.keyword) { return .sdlab(try GenerationParameters(json: json, name: name)) }
    for text in [text("parameters"), text("UserComment")] {
      if let text, let found = ForeignParameters(a1111: text) { return .foreign(found) }
    }
    for keyword in ["prompt", "workflow"] {
      if let json = text(keyword), let found = ForeignParameters(comfyUI: json) { return .foreign(found) }
    }
    return nil
  }
}

// MARK: - PNG's text chunks

extension PNG {
  struct Problem: Error {
    let reason: String
  }

  /// The content of a tEXt, zTXt or iTXt chunk.
  static func text(_ type: String, _ content: ArraySlice<UInt8>, limit: Int) -> Result<Text, Problem> {
    guard let (key, rest) = content.splitAtNUL(), (1...79).contains(key.count) else { return .failure(Problem(reason: "no keyword")) }
    let keyword = key.latin1
    func failure(_ reason: String) -> Result<Text, Problem> { .failure(Problem(reason: "\(keyword.oneLine): \(reason)")) }
    func success(_ text: String) -> Result<Text, Problem> { .success(Text(keyword: keyword, text: text)) }
    switch type {
    case "tEXt":
      guard rest.count <= limit else { return failure("longer than \(limit) bytes") }
      return success(plain(rest))
    case "zTXt":
      guard rest.first == 0, let text = inflate(rest.dropFirst(), limit: limit) else {
        return failure("damaged, or longer than \(limit) bytes when decompressed")
      }
      return success(plain(text[...]))
    default:
      let flags = rest.prefix(2)
      guard flags.count == 2, let (_, afterLanguage) = rest.dropFirst(2).splitAtNUL(), let (_, text) = afterLanguage.splitAtNUL() else {
        return failure("damaged")
      }
      if flags.first == 0 {
        guard text.count <= limit else { return failure("longer than \(limit) bytes") }
        return success(String(decoding: text, as: UTF8.self))
      }
      guard flags.last == 0, let inflated = inflate(text, limit: limit) else {
        return failure("damaged, or longer than \(limit) bytes when decompressed")
      }
      return success(String(decoding: inflated, as: UTF8.self))
    }
  }

  /// tEXt and zTXt are Latin-1 by the standard; stable-diffusion.cpp and others write UTF-8 all the same, which Latin-1 text hardly ever
  /// looks like.
  private static func plain(_ bytes: ArraySlice<UInt8>) -> String { String(validating: bytes, as: UTF8.self) ?? bytes.latin1 }
}
