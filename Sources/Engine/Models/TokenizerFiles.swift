import Foundation

/// What a tokenizer's folder says, checked: the reading half of `Tokenizer`.
///
/// Follows transformers 5: `TokenizersBackend` takes vocabulary and merges from `tokenizer.json` when it is there, else from `vocab.json`
/// and `merges.txt`; everything else (normaliser, splitter) is CLIPTokenizer's own whatever the file says.
struct TokenizerFiles {
  private(set) var bos = 0
  private(set) var eos = 0
  private(set) var pad = 0
  private(set) var unk: Int?
  private(set) var modelMaxLength: Int?
  private(set) var addedTokens: [Int: AddedToken] = [:]
  private(set) var tokens: [String?] = []
  let bytePairs: BytePairs

  /// Bounds against absurd files: CLIP has 49,408 tokens and files of 1 and 0.5 MB.
  private static let largestFile = 64 << 20
  private static let largestID = 1 << 22
  private static let mostAddedTokens = 100_000
  private static let attributes = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]

  /// - Parameter padToken: fills up rows in place of what the files say.
  init(_ directory: URL, padToken: String? = nil) throws {
    let whole = try Self.json(directory, "tokenizer.json")
    let vocabulary: Vocabulary
    let merges: [(left: Int, right: Int, merged: Int)]
    if let whole {
      guard let model = whole.object["model"] as? [String: Any] else { throw whole.wrong("model", "an object", whole.object["model"]) }
      if let type = model["type"], type as? String != "BPE" { throw whole.wrong("model.type", "BPE", type) }
      guard let entries = model["vocab"] as? [String: Any] else {
        throw whole.wrong("model.vocab", "an object of tokens and ids", model["vocab"])
      }
      vocabulary = try Vocabulary(entries, file: whole.file)
      merges = try Self.merges(list: model["merges"], whole, vocabulary)
    } else {
      guard let file = try Self.json(directory, "vocab.json") else {
        throw InputError(
          .missing, "\(directory.path): no vocab.json (nor tokenizer.json)",
          hint: "put the vocab.json and merges.txt of a CLIP tokenizer there, or name their folder with --tokenizer DIR")
      }
      vocabulary = try Vocabulary(file.object, file: file.file)
      let path = directory.appendingPathComponent("merges.txt")
      guard let data = try Self.read(path) else {
        throw InputError(.missing, "\(path.path): no such file", hint: "vocab.json needs the merges.txt that came with it")
      }
      merges = try Self.merges(text: data, path.path, vocabulary)
    }

    let config = try Self.json(directory, "tokenizer_config.json") ?? JSONFile(file: "tokenizer_config.json", object: [:])
    try Self.refuseOtherTokenizers(config)
    var special = try SpecialTokens(config, attributes: Self.attributes)
    try special.read(directory, whole)
    if let padToken { special.fillUp(with: padToken) }
    let added = try Self.addedTokens(special, vocabulary)
    addedTokens = added.byID
    tokens = vocabulary.tokens
    for (id, token) in added.byID {
      if tokens.count <= id { tokens += Array(repeating: nil, count: id + 1 - tokens.count) }
      tokens[id] = token.content
    }
    func id(_ key: String) throws -> Int {
      guard let content = special.values[key]?.content, let id = added.ids[content] ?? vocabulary.id(content) else {
        throw InputError(.badData, "\(config.file): \(key): expected a token, found none", hint: "a CLIP model cannot do without it")
      }
      return id
    }
    (bos, eos, pad) = (try id("bos_token"), try id("eos_token"), try id("pad_token"))
    let unknown = special.values["unk_token"]?.content
    unk = unknown.flatMap { added.ids[$0] ?? vocabulary.id($0) }
    modelMaxLength = try Self.maxLength(config)
    // The BPE knows the vocabulary only, not the tokens added to it.
    bytePairs = BytePairs(vocabulary: vocabulary.ids, merges: merges, unknown: unknown.flatMap(vocabulary.id))
    if let unknown, bytePairs.unknown == nil, (bytePairs.inner + bytePairs.last).contains(nil) {
      throw InputError(.badData, "\(vocabulary.file): lacks single bytes, and the unknown token '\(unknown)' that would stand for them")
    }
  }

  /// Settings that would change the ids and that this program does not implement are refused rather than ignored.
  private static func refuseOtherTokenizers(_ config: JSONFile) throws {
    let reader = ConfigReader(config.object, file: config.file)
    let name = try reader.string("tokenizer_class", "CLIPTokenizer")
    try reader.refuse(unless: name == "CLIPTokenizer" || name == "CLIPTokenizerFast", "tokenizer_class", "CLIPTokenizer")
    for side in ["padding_side", "truncation_side"] {
      try reader.refuse(unless: try reader.string(side, "right") == "right", side, "right")
    }
    try reader.refuse(unless: !(try reader.bool("split_special_tokens", false)), "split_special_tokens", "false")
  }

  /// Absent, or so large that it means "none" (transformers writes 1e30): nil.
  private static func maxLength(_ config: JSONFile) throws -> Int? {
    let reader = ConfigReader(config.object, file: config.file)
    let key = reader.has("model_max_length") ? "model_max_length" : "max_len"
    guard reader.has(key), try reader.double(key, 0) < 1e9 else { return nil }
    return try reader.int(key, 77, in: 3...65536)
  }

  // MARK: Files

  struct JSONFile {
    let file: String
    let object: [String: Any]

    func wrong(_ key: String, _ expected: String, _ found: Any?) -> InputError {
      let found = found.map { "\($0)".prefix(80) } ?? "nothing"
      return InputError(.badData, "\(file): \(key): expected \(expected), found \(found)")
    }
  }

  /// The content of a regular file (links followed, as in the hub's cache), nil when there is none.
  private static func read(_ url: URL) throws -> Data? {
    let path = url.resolvingSymlinksInPath().path
    guard let facts = try? FileManager.default.attributesOfItem(atPath: path) else { return nil }
    guard facts[.type] as? FileAttributeType == .typeRegular else { throw InputError(.badData, "\(url.path): not a file") }
    let size = (facts[.size] as? NSNumber)?.intValue ?? 0
    guard size <= largestFile else {
      throw InputError(.badData, "\(url.path): \(size) bytes are too many for a tokenizer's file (at most \(largestFile))")
    }
    guard let data = FileManager.default.contents(atPath: path) else { throw InputError(.missing, "\(url.path): cannot be read") }
    return data
  }

  private static func json(_ directory: URL, _ name: String) throws -> JSONFile? {
    let url = directory.appendingPathComponent(name)
    guard let data = try read(url) else { return nil }
    guard let parsed = try? JSONSerialization.jsonObject(with: data) else {
      throw InputError(.badData, "\(url.path): not valid JSON", hint: "copy the file from the model's folder again")
    }
    guard let object = parsed as? [String: Any] else { throw InputError(.badData, "\(url.path): expected a JSON object at the top") }
    return JSONFile(file: url.path, object: object)
  }

  // MARK: Vocabulary and merges

  struct Vocabulary {
    let file: String
    /// By the token's UTF-8.
    private(set) var ids: [ArraySlice<UInt8>: Int]
    private(set) var tokens: [String?]

    init(_ entries: [String: Any], file: String) throws {
      self.file = file
      ids = Dictionary(minimumCapacity: entries.count)
      tokens = Array(repeating: nil, count: entries.count)
      for (token, value) in entries {
        guard let number = value as? NSNumber, let id = Int(exactly: number.doubleValue), (0...TokenizerFiles.largestID).contains(id) else {
          let found = "\(value)".prefix(40)
          throw InputError(.badData, "\(file): '\(token.prefix(40))': expected an id from 0 to \(TokenizerFiles.largestID), found \(found)")
        }
        if id >= tokens.count { tokens += Array(repeating: nil, count: id + 1 - tokens.count) }
        if let other = tokens[id] {
          let names = [other, token].sorted().map { "'\($0.prefix(40))'" }
          throw InputError(.badData, "\(file): id \(id) belongs to both \(names.joined(separator: " and "))")
        }
        tokens[id] = token
        ids[ArraySlice(Array(token.utf8))] = id
      }
      if ids.isEmpty { throw InputError(.badData, "\(file): expected tokens and their ids, found none") }
    }

    var count: Int { ids.count }
    func id(_ token: String) -> Int? { ids[ArraySlice(Array(token.utf8))] }
  }

  /// `merges.txt`: a merge a line in order of rank, two tokens with one blank between; lines that begin with `#version` are skipped.
  private static func merges(text data: Data, _ file: String, _ vocabulary: Vocabulary) throws -> [(left: Int, right: Int, merged: Int)] {
    let bytes = [UInt8](data)
    var merges: [(left: Int, right: Int, merged: Int)] = []
    var start = 0
    var line = 0
    while start < bytes.count {
      line += 1
      let newline = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      var end = newline
      if end < bytes.count, end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
      let content = bytes[start..<end]
      start = newline + 1
      if content.starts(with: "#version".utf8) { continue }
      let parts = content.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      guard parts.count == 2 else {
        let found = String(decoding: content, as: UTF8.self).prefix(40)
        throw InputError(.badData, "\(file): line \(line): expected two tokens with one blank between, found '\(found)'")
      }
      merges.append(try merge(parts[0], parts[1], "\(file): line \(line)", vocabulary))
    }
    return merges
  }

  /// `model.merges` of tokenizer.json: `"a b"` or `["a", "b"]` each.
  private static func merges(list: Any?, _ file: JSONFile, _ vocabulary: Vocabulary) throws -> [(left: Int, right: Int, merged: Int)] {
    guard let list = list as? [Any] else { throw file.wrong("model.merges", "a list", list) }
    return try list.enumerated().map { i, entry in
      let parts = (entry as? [String]) ?? (entry as? String)?.split(separator: " ", omittingEmptySubsequences: false).map(String.init) ?? []
      guard parts.count == 2 else { throw file.wrong("model.merges[\(i)]", "two tokens", entry) }
      return try merge(ArraySlice(Array(parts[0].utf8)), ArraySlice(Array(parts[1].utf8)), "\(file.file): model.merges[\(i)]", vocabulary)
    }
  }

  private static func merge(
    _ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>, _ place: String, _ vocabulary: Vocabulary
  ) throws -> (left: Int, right: Int, merged: Int) {
    func id(_ token: ArraySlice<UInt8>) throws -> Int {
      if let id = vocabulary.ids[token] { return id }
      let name = String(decoding: token, as: UTF8.self).prefix(40)
      throw InputError(.badData, "\(place): '\(name)' is not in the vocabulary", hint: "are both files from the same model?")
    }
    return (try id(left), try id(right), try id(left + right))
  }

  // MARK: Special and added tokens

  /// A special token in a file: a plain string, or an object with switches.
  struct SpecialToken: Equatable {
    var content: String
    var isPlain = true
    var lstrip = false
    var rstrip = false
    var singleWord = false
    /// nil: not said, which means "unless special".
    var normalized: Bool?
    var special = true
  }

  /// The special tokens that a folder's files give, before they have ids (`PreTrainedTokenizerBase._from_pretrained`).
  struct SpecialTokens {
    /// By the key in the files (`bos_token`).
    private(set) var values: [String: SpecialToken] = [:]
    /// Further special tokens, in order.
    private(set) var extra: [SpecialToken] = []
    /// With ids in the file: they give the order only, the vocabulary gives the ids.
    private(set) var added: [Int: SpecialToken] = [:]
    private let attributes: [String]
    private let config: JSONFile

    init(_ config: JSONFile, attributes: [String]) throws {
      self.config = config
      self.attributes = attributes
      // CLIPTokenizer's own defaults
      values = ["bos_token": SpecialToken(content: "<|startoftext|>")]
      for key in ["eos_token", "unk_token", "pad_token"] { values[key] = SpecialToken(content: "<|endoftext|>") }
      try merge(config, fromMap: false)
    }

    mutating func fillUp(with token: String) { values["pad_token"] = SpecialToken(content: token) }

    mutating func read(_ directory: URL, _ whole: JSONFile?) throws {
      if let decoder = config.object["added_tokens_decoder"], !(decoder is NSNull) {
        guard let decoder = decoder as? [String: Any] else { throw config.wrong("added_tokens_decoder", "an object", decoder) }
        for (key, value) in decoder {
          guard let id = Int(key), let token = try Self.token(value, config, "added_tokens_decoder.\(key)", special: false), !token.isPlain
          else { throw config.wrong("added_tokens_decoder", "ids and tokens", "\(key): \(value)") }
          added[id] = token
        }
      } else {
        if let map = try TokenizerFiles.json(directory, "special_tokens_map.json") { try merge(map, fromMap: true) }
        if let file = try TokenizerFiles.json(directory, "added_tokens.json") {
          let named = Set((attributes.compactMap { values[$0] } + extra).map(\.content))
          for (content, value) in file.object {
            guard let number = value as? NSNumber, let id = Int(exactly: number.doubleValue) else {
              throw file.wrong(content, "an id", value)
            }
            let special = named.contains(content)
            added[id] = SpecialToken(content: content, isPlain: false, normalized: !special, special: special)
          }
        }
        if let whole, let list = whole.object["added_tokens"], !(list is NSNull) {
          guard let list = list as? [[String: Any]] else { throw whole.wrong("added_tokens", "a list of tokens", list) }
          for entry in list {
            guard let number = entry["id"] as? NSNumber, let id = Int(exactly: number.doubleValue),
              let token = try Self.token(entry, whole, "added_tokens", special: false)
            else { throw whole.wrong("added_tokens", "tokens with ids", entry) }
            added[id] = token
          }
        }
      }
      guard added.count + extra.count <= TokenizerFiles.mostAddedTokens else {
        throw InputError(.badData, "\(config.file): \(added.count + extra.count) added tokens are too many")
      }
      let byContent = Dictionary(added.sorted { $0.key < $1.key }.map { ($0.value.content, $0.value) }) { $1 }
      for key in attributes { if let value = values[key], let known = byContent[value.content] { values[key] = known } }
    }

    private mutating func merge(_ file: JSONFile, fromMap: Bool) throws {
      for key in file.object.keys.sorted() {
        let value = file.object[key]
        if attributes.contains(key) {
          values[key] = try Self.token(value, file, key, special: fromMap)
        } else if key == "additional_special_tokens" || key == "extra_special_tokens" {
          if value == nil || value is NSNull { continue }
          guard let list = value as? [Any] else { throw file.wrong(key, "a list of tokens", value) }
          extra += try list.compactMap { try Self.token($0, file, key, special: fromMap) }
        } else if key.hasSuffix("_token"), value is String, let token = try Self.token(value, file, key, special: true) {
          extra.insert(token, at: 0)
        }
      }
    }

    /// nil for null.
    private static func token(_ value: Any?, _ file: JSONFile, _ key: String, special: Bool) throws -> SpecialToken? {
      if value == nil || value is NSNull { return nil }
      if let content = value as? String { return SpecialToken(content: content) }
      guard let object = value as? [String: Any], let content = object["content"] as? String else {
        throw file.wrong(key, "a token (a string, or an object with 'content')", value)
      }
      let reader = ConfigReader(object, file: "\(file.file): \(key)")
      return SpecialToken(
        content: content, isPlain: false, lstrip: try reader.bool("lstrip", false), rstrip: try reader.bool("rstrip", false),
        singleWord: try reader.bool("single_word", false),
        normalized: reader.has("normalized") ? try reader.bool("normalized", true) : nil,
        special: special ? true : try reader.bool("special", false))
    }

    /// What is added to the backend, in its order (`TokenizersBackend.__init__`). One content may come several times with different
    /// switches, and the last one counts: an EOS marked `normalized` loses the mark to a padding token written as a plain string.
    var toAdd: [SpecialToken] {
      var list = added.sorted { $0.key < $1.key }.map(\.value)
      let known = Set(list.map(\.content))
      let named = attributes.compactMap { values[$0] }
      for token in named + extra where !known.contains(token.content) && !list.contains(token) { list.append(token) }
      let names = Set(named.map(\.content))
      return list.map { token in
        var token = token
        token.special = token.special || token.isPlain || names.contains(token.content)
        return token
      }
    }
  }

  /// Gives the added tokens their ids: those of the vocabulary, new ones after it.
  private static func addedTokens(
    _ special: SpecialTokens, _ vocabulary: Vocabulary
  ) throws -> (byID: [Int: AddedToken], ids: [String: Int]) {
    var byID: [Int: AddedToken] = [:]
    var ids: [String: Int] = [:]
    var next = vocabulary.count
    for token in special.toAdd where !token.content.isEmpty {
      let id = ids[token.content] ?? vocabulary.id(token.content) ?? next
      if id == next, ids[token.content] == nil, vocabulary.id(token.content) == nil {
        if vocabulary.tokens.indices.contains(id), let taken = vocabulary.tokens[id] {
          let (name, other) = (token.content.prefix(40), taken.prefix(40))
          throw InputError(.badData, "\(vocabulary.file): the added token '\(name)' would take id \(id), which is that of '\(other)'")
        }
        next += 1
      }
      ids[token.content] = id
      byID[id] = AddedToken(
        content: token.content, singleWord: token.singleWord, stripsLeft: token.lstrip, stripsRight: token.rstrip,
        isNormalized: token.normalized ?? !token.special)
    }
    return (byID, ids)
  }
}
