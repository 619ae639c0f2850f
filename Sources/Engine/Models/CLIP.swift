import Foundation

/// CLIP whole: pictures and prompts as points of one space (Radford et al. 2021), transformers' CLIPModel.
///
/// Safe to share between tasks: nothing in it changes after `init`.
public struct CLIP: @unchecked Sendable {
  public let name: String
  public let vision: CLIPVision
  public let text: CLIPText
  public let tokenizer: Tokenizer
  public let preprocessing: CLIPPreprocessing
  /// Coordinates of an embedding.
  public let dimension: Int
  private let visualProjection: Linear
  private let textProjection: Linear

  /// - Parameter name: a folder as transformers' `save_pretrained` writes it (config.json, model.safetensors or pytorch_model.bin, the tokenizer's files,
  ///   preprocessor_config.json), or the name of such a model in the local hub cache, for example openai/clip-vit-large-patch14.
  /// - Throws: `InputError` naming what is missing or malformed.
  public init(_ name: String, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
    guard case .folder(let folder) = try ModelSource.Location(name, HubCache(environment: environment)) else {
      throw InputError(.badData, "\(name): a CLIP model is a folder", hint: "give the folder that holds its config.json")
    }
    let config = try ConfigReader(file: folder.appendingPathComponent("config.json"), of: "a CLIP model")
    guard config.isObject("vision_config") || config.isObject("text_config") else {
      throw InputError(
        .badData, "\(config.file): expected a CLIP model of two towers (text_config and vision_config)",
        hint:
          "a Stable Diffusion folder has the text tower alone; take the model that it was trained with, such as openai/clip-vit-large-patch14"
      )
    }
    self.name = name
    let visionConfig = try CLIPVisionConfig(config.object("vision_config"))
    let textConfig = try CLIPTextConfig(config.object("text_config"))
    dimension = try config.int("projection_dim", 512, in: 1...65536)
    preprocessing = try CLIPPreprocessing(besides: folder.appendingPathComponent("preprocessor_config.json"), side: visionConfig.imageSize)
    var tensors = try WeightFiles(in: folder, bases: ["model", "pytorch_model"], variant: nil).tensors
    for i in tensors.indices { tensors[i].name = "clip." + tensors[i].name }
    let weights = try WeightStore(tensors, label: name)
    let scope = weights["clip"]
    vision = CLIPVision(scope["vision_model"], visionConfig)
    text = CLIPText(scope["text_model"], textConfig)
    visualProjection = Linear(scope["visual_projection"], visionConfig.hiddenSize, dimension, bias: false)
    textProjection = Linear(scope["text_projection"], textConfig.hiddenSize, dimension, bias: false)
    try weights.finish(ignoring: ["*"])
    tokenizer = try Tokenizer(directory: folder)
    guard tokenizer.vocabularySize <= text.knownIDs else {
      throw InputError(.badData, "\(name): \(tokenizer.vocabularySize) tokens, the text tower knows \(text.knownIDs)")
    }
  }

  /// Unit vectors `[n, dimension]` of pictures, sixteen at a time.
  public func embeddings(_ pictures: [Picture]) throws -> Tensor {
    try .concatenated(
      stride(from: 0, to: pictures.count, by: 16).map { start in
        let batch = Array(pictures[start..<min(start + 16, pictures.count)])
        return visualProjection(try vision(preprocessing(batch)).pooled).unitRows()
      })
  }

  /// Unit vectors `[n, dimension]` of prompts, which are cut after the tower's length.
  public func embeddings(_ prompts: [String]) throws -> Tensor {
    let length = min(tokenizer.modelMaxLength ?? 77, text.config.maxPositions)
    let rows = try prompts.map { try tokenizer.prepare($0, length: length, overflow: .truncate, emphasis: .none).chunks[0].ids }
    return try .concatenated(
      stride(from: 0, to: rows.count, by: 16).map { start in
        let batch = Array(rows[start..<min(start + 16, rows.count)])
        return textProjection(try text.pooled(batch)).unitRows()
      })
  }
}

extension CLIPText {
  /// What stands for the whole prompt: the last hidden state at the end-of-text token, `[n, width]`.
  public func pooled(_ ids: [[Int]]) throws -> Tensor {
    let states = try self(ids).lastHiddenState
    let (length, width) = (states.shape[1], states.shape[2])
    var out = Tensor(uninitialized: [ids.count, width])
    out.withUnsafeMutableBuffer { out in
      for (row, line) in ids.enumerated() {
        // Configs written before transformers 4.31 name token 2, which is no end of text: there the highest id is taken, the first where several are.
        let last = config.eosTokenID == 2 ? line.max().flatMap { line.firstIndex(of: $0) } : line.firstIndex(of: config.eosTokenID)
        let at = (row * length + (last ?? 0)) * width
        for c in 0..<width { out[row * width + c] = states.data[at + c] }
      }
    }
    return out
  }
}

extension Tensor {
  /// Each row divided by its length; a row of zeros stays.
  func unitRows() -> Tensor {
    var out = self
    let width = shape[-1]
    out.withUnsafeMutableBuffer { out in
      for row in 0..<(out.count / max(1, width)) {
        let range = row * width..<(row + 1) * width
        let length = max(range.reduce(0.0) { $0 + Double(out[$1]) * Double(out[$1]) }.squareRoot(), 1e-12)
        for i in range { out[i] = Float(Double(out[i]) / length) }
      }
    }
    return out
  }
}

extension ConfigReader {
  /// - Parameter what: what the folder would be if the file were there.
  init(file url: URL, of what: String) throws {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw InputError(.missing, "\(url.deletingLastPathComponent().relativePath): not \(what): config.json is missing")
    }
    try self.init(FileBytes(mapping: url).data, file: url.relativePath)
  }
}

extension CLIPPreprocessing {
  /// What a preprocessor's file says; CLIP's own where there is none.
  init(besides url: URL, side: Int) throws {
    guard FileManager.default.fileExists(atPath: url.path) else {
      self.init(side: side)
      return
    }
    try self.init(ConfigReader(FileBytes(mapping: url).data, file: url.relativePath), side: side)
  }
}
