import CPNG
import CTurboJPEG
import Foundation

extension Picture {
  /// What becomes of transparency.
  public enum Alpha: Sendable {
    /// Composited over white, as a person sees it on paper: `(c * a + 255 * (255 - a)) / 255`, rounded. The default.
    case overWhite
    /// Thrown away, as `PIL.Image.convert("RGB")` and so diffusers' `load_image` do: what lies under transparent pixels comes to light.
    case ignored
  }

  /// Reads a PNG or JPEG file; which of them it is, its content says, not its name. See `init(bytes:name:alpha:)`.
  ///
  /// - Throws: `InputError` `.missing` when the file is not there or cannot be read, `.badData` when it is no sound picture.
  public init(url: URL, alpha: Alpha = .overWhite) throws {
    self = try Picture(bytes: ImageFile.bytes(of: url), name: url.path, alpha: alpha)
  }

  /// Decodes a PNG or JPEG file held in memory.
  ///
  /// As PIL decodes them (within 1 of 255): PNG of every colour type, bit depth and interlacing, JPEG baseline and progressive, grey,
  /// YCbCr, RGB, CMYK and YCCK (the last two by PIL's formula, as Adobe stores them). 16-bit samples keep their high byte; PIL does that
  /// for colour and saturates 16-bit grey, which would turn such a picture white: grey keeps its high byte here too. Gamma and colour
  /// profiles are ignored. The EXIF orientation is applied. Of an animated PNG it is the default picture.
  /// - Parameter name: what error lines call the file.
  /// - Throws: `InputError` `.badData`: other formats, truncated and corrupt files, sides beyond 65535, more than 2^28 pixels.
  public init(bytes: [UInt8], name: String, alpha: Alpha = .overWhite) throws {
    switch ImageFile.Format(bytes) {
    case .png: self = try PNG.decode(bytes, name: name, alpha: alpha)
    case .jpeg: self = try JPEG.decode(bytes, name: name)
    case nil:
      throw InputError(
        .badData, "\(name): expected a PNG or JPEG picture, found \(ImageFile.describe(bytes))", hint: "convert it to PNG first")
    }
  }
}

/// What PNG and JPEG files have in common.
enum ImageFile {
  enum Format: String, Sendable {
    case png
    case jpeg

    /// By the first bytes.
    init?(_ bytes: [UInt8]) {
      if bytes.starts(with: PNG.signature) {
        self = .png
      } else if bytes.starts(with: [0xff, 0xd8, 0xff]) {
        self = .jpeg
      } else {
        return nil
      }
    }
  }

  /// Files above this size are no pictures of ours: 2^28 RGB pixels of noise take less.
  static let maximumBytes = 1 << 30

  /// The file's content.
  static func bytes(of url: URL) throws -> [UInt8] {
    var status = stat()
    guard stat(url.path, &status) == 0 else {
      throw InputError(.missing, "\(url.path): cannot be read (\(String(cString: strerror(errno))))")
    }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw InputError(.missing, "\(url.path): expected a picture, found a folder") }
    // Only a regular file tells its size beforehand; a pipe is read up to the limit.
    guard let handle = FileHandle(forReadingAtPath: url.path) else {
      throw InputError(.missing, "\(url.path): cannot be read (\(String(cString: strerror(errno))))")
    }
    defer { try? handle.close() }
    var data = Data()
    do {
      while let piece = try handle.read(upToCount: 1 << 24), !piece.isEmpty {
        data.append(piece)
        guard data.count <= maximumBytes else {
          throw InputError(.badData, "\(url.path): expected a picture of at most \(maximumBytes) bytes, found more")
        }
      }
    } catch let error as InputError {
      throw error
    } catch {
      throw InputError(.missing, "\(url.path): cannot be read (\(error.localizedDescription))")
    }
    return [UInt8](data)
  }

  /// A name for what is not PNG or JPEG.
  static func describe(_ bytes: [UInt8]) -> String {
    func has(_ text: String, at offset: Int = 0) -> Bool { bytes.dropFirst(offset).starts(with: Array(text.utf8)) }
    if bytes.isEmpty { return "an empty file" }
    if has("RIFF"), has("WEBP", at: 8) { return "WebP" }
    if has("GIF8") { return "GIF" }
    if has("BM") { return "BMP" }
    if has("II*\0") || has("MM\0*") { return "TIFF" }
    if has("ftyp", at: 4) { return "HEIF or AVIF" }
    if has("<svg") || has("<?xml") { return "SVG or XML" }
    if has("%PDF") { return "PDF" }
    if has("PNG", at: 1) { return "a PNG file with a damaged signature" }
    return "something else"
  }
}

enum JPEG {
  static func decode(_ bytes: [UInt8], name: String) throws -> Picture {
    guard let handle = tjInitDecompress() else { throw InputError(.badData, "\(name): the JPEG decoder could not start") }
    defer { tjDestroy(handle) }
    func fail() -> InputError {
      InputError(.badData, "\(name): not a sound JPEG file (\(String(cString: tjGetErrorStr2(handle))))", hint: "get or save it again")
    }
    var width: Int32 = 0
    var height: Int32 = 0
    var subsampling: Int32 = 0
    var space: Int32 = 0
    guard tjDecompressHeader3(handle, bytes, UInt(bytes.count), &width, &height, &subsampling, &space) == 0 else { throw fail() }
    try Picture.check(width: Int(width), height: Int(height), file: name)
    let fourColours = space == Int32(TJCS_CMYK.rawValue) || space == Int32(TJCS_YCCK.rawValue)
    let format = fourColours ? Int32(TJPF_CMYK.rawValue) : Int32(TJPF_RGB.rawValue)
    // The accurate transform and smooth chroma upsampling are libjpeg's defaults, and so PIL's.
    let flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS
    var sound = true
    let raw = [UInt8](unsafeUninitializedCapacity: Int(width) * Int(height) * (fourColours ? 4 : 3)) { p, count in
      let status = tjDecompress2(handle, bytes, UInt(bytes.count), p.baseAddress, width, 0, height, format, flags)
      sound = status == 0 || harmless(handle, bytes)
      // After an error the memory is not wholly written: nothing of it is used.
      count = sound ? p.count : 0
    }
    guard sound else { throw fail() }
    let rgb = fourColours ? fromAdobeCMYK(raw) : raw
    return Picture(width: Int(width), height: Int(height), pixels: rgb).oriented(EXIF(jpeg: bytes)?.orientation ?? 1)
  }

  /// Stray bytes between segments are common in cameras' files and harm nothing, provided that the end marker is there; any other warning
  /// means that part of the picture was made up.
  private static func harmless(_ handle: tjhandle, _ bytes: [UInt8]) -> Bool {
    guard tjGetErrorCode(handle) == Int32(TJERR_WARNING.rawValue) else { return false }
    guard String(cString: tjGetErrorStr2(handle)).contains("extraneous bytes") else { return false }
    return bytes.indices.dropLast().reversed().contains { bytes[$0] == 0xff && bytes[$0 + 1] == 0xd9 }
  }

  /// Inverted CMYK, as Adobe's programs store it, to RGB by PIL's formula: `(255 - k) - c * (255 - k) / 255`.
  private static func fromAdobeCMYK(_ raw: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: raw.count / 4 * 3) { out, count in
      for i in 0..<raw.count / 4 {
        let light = Int(raw[4 * i + 3])  // 255 - k
        for c in 0..<3 {
          let t = (255 - Int(raw[4 * i + c])) * light + 128
          out[3 * i + c] = UInt8(max(0, light - (((t >> 8) + t) >> 8)))
        }
      }
      count = out.count
    }
  }
}
