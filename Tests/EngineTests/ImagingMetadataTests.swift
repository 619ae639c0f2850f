import Foundation
import Testing

@testable import Engine

@Suite struct ImagingMetadataTests {
  private let picture = Picture(width: 8, height: 6, colour: (200, 100, 50))

  private func parameters() -> GenerationParameters {
    var p = GenerationParameters(
      sdlabVersion: "0.1.0", prompt: "a red circle, (sharp:1.2)", width: 512, height: 384, model: .init(name: "models/v1-5.safetensors"))
    p.negativePrompt = "blurry"
    p.sampler = "dpmpp-2m-karras"
    p.steps = 20
    p.guidance = 7.5
    p.seed = UInt64.max
    p.model.sha256 = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"
    p.clipSkip = 1
    p.initImage = .init(name: "in.png", sha256: "00")
    p.strength = 0.75
    p.karras = true
    return p
  }

  private func inPNG(_ chunks: [[UInt8]]) throws -> [UInt8] { try PNG.encode(picture, texts: chunks) }

  @Test func everythingComesBack() throws {
    for prompt in ["plain", "with, commas: and \"quotes\"\nand a second line", "Grüße", "Ã©", "夕焼け 🌇", ""] {
      var p = parameters()
      p.prompt = prompt
      let bytes = try picture.png(metadata: PictureMetadata(p))
      let read = try ImageMetadata.read(bytes: bytes, name: "x")
      #expect(read.notes.isEmpty)
      #expect(read.width == 8 && read.height == 6 && read.format == .png)
      #expect(try read.origin(name: "x") == .sdlab(p))
      #expect(read.text("parameters") == p.a1111)
      #expect(read.xmp?.contains(XMP.trainedAlgorithmicMedia) == true)
      #expect(try Picture(bytes: bytes, name: "x") == picture)
      let a1111 = try #require(ForeignParameters(a1111: p.a1111))
      #expect(a1111.prompt == prompt)
      #expect(a1111.program == .sdlab)
    }
  }

  @Test func latin1TextIsTEXtAndOthersAreITXt() throws {
    #expect(PNG.Text(keyword: "k", text: "Grüße").chunk()[4..<8].elementsEqual("tEXt".utf8))
    #expect(PNG.Text(keyword: "k", text: "夕").chunk()[4..<8].elementsEqual("iTXt".utf8))
    var m = PictureMetadata()
    #expect(throws: InputError.self) { try m.add("x", keyword: "") }
    #expect(throws: InputError.self) { try m.add("x", keyword: String(repeating: "k", count: 80)) }
    #expect(throws: InputError.self) { try m.add("x", keyword: "夕") }
  }

  @Test func jsonIsStableAndStrict() throws {
    let json = try parameters().json()
    #expect(json == (try parameters().json()))
    #expect(json.contains("\"negative_prompt\":\"blurry\"") && json.contains("\"seed\":18446744073709551615"))
    func refused(_ text: String, _ part: String) {
      do {
        _ = try GenerationParameters(json: text, name: "a.png")
        Issue.record("accepted \(text.prefix(60))")
      } catch let error as InputError {
        #expect(error.kind == .badData)
        #expect(error.description.contains(part) && !error.description.contains("\n"), "\(error)")
      } catch { Issue.record("\(error)") }
    }
    refused("", "JSON")
    refused("[]", "sdlab")
    refused(json.replacingOccurrences(of: "\"steps\":20", with: "\"steps\":\"x\""), "steps")
    refused(json.replacingOccurrences(of: "\"steps\":20", with: "\"steps\":0"), "steps")
    refused(json.replacingOccurrences(of: "\"steps\":20,", with: ""), "steps")
    refused(json.replacingOccurrences(of: "\"schema\":1", with: "\"schema\":2"), "newer")
    refused(json.replacingOccurrences(of: "\"width\":512", with: "\"width\":1e99"), "sdlab")
    refused(json.replacingOccurrences(of: "\"seed\":18446744073709551615", with: "\"seed\":-1"), "sdlab")
    refused(String(repeating: "[", count: 100_000), "JSON")
  }

  @Test func a1111TextAsItsOwnersWriteIt() throws {
    let p = parameters()
    #expect(
      p.a1111 == """
        a red circle, (sharp:1.2)
        Negative prompt: blurry
        Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x384, \
        Model hash: 6ce0161689, Model: v1-5.safetensors, Denoising strength: 0.75, Clip skip: 2, Emphasis: None, RNG: CPU, Version: sdlab 0.1.0
        """)
    let back = try #require(ForeignParameters(a1111: p.a1111))
    #expect(back.sampler == "dpmpp-2m-karras" && back.steps == 20 && back.guidance == 7.5 && back.seed == UInt64.max)
    #expect(back.width == 512 && back.height == 384 && back.clipSkip == 1 && back.strength == 0.75 && back.rng == "cpu")
    #expect(back.emphasis == "none" && back.notes.isEmpty)

    let web = try #require(
      ForeignParameters(
        a1111: """
          masterpiece, (a cat:1.3)
          on a roof
          Negative prompt: bad hands,
          lowres
          Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 903543336, Size: 512x768, Model hash: 93b79e09ed, Model: any, Clip skip: 2, \
          Lora hashes: "a: 1, b: 2", TI: "say \\"x\\"", ENSD: 31337, Version: v1.6.0
          """))
    #expect(web.program == .a1111)
    #expect(web.prompt == "masterpiece, (a cat:1.3)\non a roof" && web.negativePrompt == "bad hands,\nlowres")
    #expect(
      web.sampler == "dpmpp-2m-karras" && web.seed == 903_543_336 && web.clipSkip == 1 && web.emphasis == "a1111" && web.rng == "cuda")
    #expect(web.notes.count == 1)
    #expect(
      A1111Text.settings(of: "Lora hashes: \"a: 1, b: 2\", TI: \"say \\\"x\\\"\", Steps: 3").map(\.value) == [
        "a: 1, b: 2", "say \"x\"", "3",
      ])
    for value in ["plain", "a, b", "a: b", "x\ny", "say \"x\", \\ \t"] {
      let line = "Model: \(A1111Text.quoted(value)), Steps: 3, Seed: 4"
      #expect(A1111Text("p\n\(line)")["Model"] == value)
    }
    #expect(ForeignParameters(a1111: "just a prompt") == nil)
    #expect(ForeignParameters(a1111: "a: b, c") == nil)
  }

  @Test func stableDiffusionCppText() throws {
    let text = """
      A sunflower field
      Negative prompt: Blue sky
      Steps: 30, CFG scale: 5.000000, Guidance: 3.500000, Eta: 0.000000, Seed: 197583933, Size: 512x512, \
      Model: v1-5-pruned-emaonly.safetensors, RNG: cuda, Sampler: dpm++2m karras, Version: stable-diffusion.cpp
      """
    let found = try #require(ForeignParameters(a1111: text))
    #expect(found.program == .stableDiffusionCpp && found.sampler == "dpmpp-2m-karras" && found.guidance == 5 && found.rng == "cuda")
    #expect(found.notes.isEmpty)
    // It writes UTF-8 into tEXt, which should be Latin-1.
    let bytes = try inPNG([PNG.chunk("tEXt", Array("parameters\0\(text.replacingOccurrences(of: "sunflower", with: "ひまわり"))".utf8))])
    guard case .foreign(let read) = try ImageMetadata.read(bytes: bytes, name: "x").origin(name: "x") else {
      Issue.record("nothing found")
      return
    }
    #expect(read.prompt == "A ひまわり field")
  }

  @Test func samplerNames() {
    func ours(_ name: String, _ schedule: String? = nil) -> String? { SamplerNames.ours(name, schedule: schedule).sampler }
    #expect(ours("Euler a") == "euler-a" && ours("euler_ancestral") == "euler-a" && ours("euler_a") == "euler-a")
    #expect(ours("DPM++ 2M Karras") == "dpmpp-2m-karras" && ours("DPM++ 2M", "Karras") == "dpmpp-2m-karras")
    #expect(
      ours("DPM++ 2M", "Automatic") == "dpmpp-2m-karras" && ours("DPM++ 2M", "Uniform") == "dpmpp-2m"
        && ours("dpmpp_2m", "normal") == "dpmpp-2m")
    #expect(ours("DPM++ 2M SDE") == "dpmpp-2m-sde" && ours("dpmpp_2m_sde_gpu") == "dpmpp-2m-sde")
    #expect(SamplerNames.ours("LMS Karras", schedule: nil) == .init(sampler: "lms", karras: true))
    #expect(ours("PLMS") == "pndm" && ours("uni_pc") == "unipc" && ours("DDIM") == "ddim" && ours("LCM") == "lcm" && ours("Heun") == "heun")
    // Near in name, other in what they do.
    for name in ["DPM++ 2S a", "DPM++ SDE", "DPM2", "ipndm", "dpm++2mv2", "DPM++ 3M SDE", "euler_cfg_pp", "", "karras"] {
      #expect(ours(name) == nil)
    }
    for name in [
      "ddim", "pndm", "lms", "euler", "euler-a", "heun", "dpmpp-2m", "dpmpp-2m-karras", "dpmpp-2m-sde", "dpmpp-2s", "unipc", "lcm", "ddpm",
    ] {
      let theirs = SamplerNames.a1111(name, karras: nil)
      #expect(ours(theirs.sampler, theirs.schedule) == name)
    }
  }

  @Test func comfyUIPromptAndWorkflow() throws {
    let prompt = """
      {"3": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615, "steps": 25, "cfg": 6.5, "sampler_name": "euler_ancestral",
        "scheduler": "normal", "denoise": 1, "model": ["4", 0], "positive": ["12", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
       "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
       "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 448, "batch_size": 1}},
       "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["20", 0], "clip": ["11", 0]}},
       "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["11", 0]}},
       "11": {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["4", 1]}},
       "12": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["6", 0], "conditioning_2": ["12", 0]}},
       "20": {"class_type": "StringNode", "inputs": {"value": "a lake"}},
       "30": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 5, "latent_image": ["3", 0], "model": ["4", 0]}}}
      """
    let found = try #require(ForeignParameters(comfyUI: prompt))
    #expect(
      found.prompt == "a lake" && found.negativePrompt == "ugly" && found.seed == UInt64.max && found.steps == 25 && found.guidance == 6.5)
    #expect(
      found.sampler == "euler-a" && found.width == 640 && found.height == 448 && found.modelName == "v1-5.safetensors"
        && found.clipSkip == 1)
    #expect(found.strength == nil && found.notes.contains { $0.contains("2 samplers") })

    let workflow = """
      {"nodes": [
        {"id": 3, "type": "KSampler", "widgets_values": [7, "fixed", 20, 8, "dpmpp_2m", "karras", 0.5],
         "inputs": [{"name": "model", "link": 1}, {"name": "positive", "link": 4}, {"name": "negative", "link": 6}, {"name": "latent_image", "link": 2}]},
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a hill"], "inputs": [{"name": "clip", "link": 3}]},
        {"id": 7, "type": "CLIPTextEncode", "widgets_values": [""], "inputs": []},
        {"id": 5, "type": "EmptyLatentImage", "widgets_values": [512, 256, 1]},
        {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["m.ckpt"]}],
       "links": [[1, 4, 0, 3, 0, "MODEL"], [2, 5, 0, 3, 3, "LATENT"], [3, 4, 1, 6, 0, "CLIP"], [4, 6, 0, 3, 1, "C"], [6, 7, 0, 3, 2, "C"]]}
      """
    let drawn = try #require(ForeignParameters(comfyUI: workflow))
    #expect(
      drawn.prompt == "a hill" && drawn.negativePrompt == "" && drawn.seed == 7 && drawn.steps == 20 && drawn.sampler == "dpmpp-2m-karras")
    #expect(drawn.width == 512 && drawn.height == 256 && drawn.strength == 0.5 && drawn.modelName == "m.ckpt")
    for hostile in [
      "", "{}", "[]", "{\"nodes\": 3}", "{\"nodes\": [{}]}", "{\"1\": {\"class_type\": \"KSampler\", \"inputs\": {\"steps\": [\"1\", 0]}}}",
    ] {
      _ = ForeignParameters(comfyUI: hostile)
    }
  }

  @Test func compressedAndInternationalText() throws {
    // Python: zlib.compress(b"a" * 120)
    let long: [UInt8] = [0x78, 0x9c, 0x4b, 0x4c, 0x1c, 0x18, 0x00, 0x00, 0xbf, 0xea, 0x2d, 0x79]
    let z = PNG.chunk("zTXt", Array("Comment\0\0".utf8) + long)
    let i = PNG.chunk("iTXt", Array("Title\0\0\0de\0Titel\0夕".utf8))
    let ic = PNG.chunk("iTXt", Array("Deep\0\u{1}\0\0\0".utf8) + long)
    let bad = [
      PNG.chunk("zTXt", Array("B\0\0".utf8) + long.dropLast(6)), PNG.chunk("iTXt", Array("C\0".utf8)), PNG.chunk("tEXt", []),
      PNG.chunk("zTXt", Array("D\0\0".utf8)),
    ]
    let read = try ImageMetadata.read(bytes: inPNG([z, i, ic] + bad), name: "x")
    #expect(read.text("Comment") == String(repeating: "a", count: 120))
    #expect(read.text("Title") == "夕")
    #expect(read.text("Deep") == String(repeating: "a", count: 120))
    #expect(read.texts.count == 3 && read.notes.count == 4)
  }

  @Test func decompressionBombsAreRefused() throws {
    // The pixels of a picture of one colour are a zlib stream: 20 KB that become 19 MB.
    let file = try Picture(width: 2500, height: 2500, colour: (97, 97, 97)).png()
    let bomb = PNG.chunks(file).chunks.filter { $0.type == "IDAT" }.flatMap { file[$0.content] }
    let read = try ImageMetadata.read(bytes: inPNG([PNG.chunk("zTXt", Array("B\0\0".utf8) + bomb)]), name: "x")
    #expect(read.texts.isEmpty && read.notes.count == 1)
  }

  @Test func damagedFilesGiveWhatIsWhole() throws {
    let bytes = try picture.png(metadata: PictureMetadata(parameters()))
    for cut in 8..<bytes.count {
      let read = try ImageMetadata.read(bytes: Array(bytes[..<cut]), name: "x")
      #expect(!read.notes.isEmpty)
    }
    for at in 8..<bytes.count {
      var damaged = bytes
      damaged[at] ^= 0xff
      _ = try? ImageMetadata.read(bytes: damaged, name: "x").origin(name: "x")
    }
    #expect(throws: InputError.self) { try ImageMetadata.read(bytes: Array("hello".utf8), name: "x") }
    #expect(throws: InputError.self) { try ImageMetadata.read(bytes: [], name: "x") }
  }

  @Test func jpegCommentsAndEXIF() throws {
    let jpeg = [UInt8](try #require(ImagingGoldens.decoded.first { $0.name == "jpeg orientation 6" }).file)
    var read = try ImageMetadata.read(bytes: jpeg, name: "x")
    #expect(read.orientation == 6 && read.width == 16 && read.height == 8 && read.notes.isEmpty)
    func segment(_ marker: UInt8, _ content: [UInt8]) -> [UInt8] {
      [0xff, marker, UInt8((content.count + 2) >> 8), UInt8((content.count + 2) & 255)] + content
    }
    // A1111's JPEGs: EXIF UserComment in UTF-16.
    let text = "a\nSteps: 3, Seed: 5, CFG scale: 2"
    let comment = Array("UNICODE\0".utf8) + text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    let tiff: [UInt8] =
      [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x87, 0x69, 0, 4, 0, 0, 0, 1, 0, 0, 0, 26, 0, 0, 0, 0]
      + [0, 1, 0x92, 0x86, 0, 7, 0, 0, 0, UInt8(comment.count), 0, 0, 0, 44, 0, 0, 0, 0] + comment
    let marked =
      Array(jpeg[..<2]) + segment(0xe1, Array("Exif\0\0".utf8) + tiff) + segment(0xfe, Array("hello".utf8))
      + segment(0xe1, Array(XMP.jpegPrefix.utf8) + Array("<x/>".utf8)) + Array(jpeg[2...])
    read = try ImageMetadata.read(bytes: marked, name: "x")
    #expect(read.text("Comment") == "hello" && read.xmp == "<x/>" && read.text("UserComment") == text)
    guard case .foreign(let found) = try read.origin(name: "x") else {
      Issue.record("nothing found")
      return
    }
    #expect(found.seed == 5 && found.steps == 3)
  }
}
