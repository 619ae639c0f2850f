import Foundation
import TestSupport
import Testing

@testable import Engine

/// Every sampler is diffusers' scheduler, step by step: goldens from diffusers with a fixed elementwise function as the model.
@Suite struct SamplerTests {
  struct File: Decodable {
    let cases: [Case]
  }
  struct Case: Decodable, CustomTestStringConvertible, Sendable {
    let `case`: String
    let sampler: String
    let base: String
    let steps: Int
    let eta: Double
    let strength: Double?
    let calls: Int
    let order: Int
    let initNoiseSigma: Double
    let noiseCalls: NoiseCalls
    let kept: Kept
    let scale: Double
    let drift64: Double
    let start: Int?
    let startSteps: Int?
    let firstTimesteps: [Double]?
    var testDescription: String { `case` }
    /// What rounding may do.
    var tolerance: Double {
      // With no signal at all and eta = 1 the factor of eps is sqrt(0): diffusers' rounding makes it sqrt(2^-24) on some machines.
      if `case`.hasPrefix("ddim") && eta == 1 && `case`.contains("zero_snr=True") { return 1e-3 }
      return max(1e-5 * max(scale, 1), 4 * drift64)
    }
  }
  /// The calls that drew noise; nil where a long case says it in words.
  struct NoiseCalls: Decodable, Sendable {
    let calls: [Int]?
    init(from decoder: any Decoder) throws { calls = try? decoder.singleValueContainer().decode([Int].self) }
  }
  /// The calls whose states are stored; nil for all.
  struct Kept: Decodable, Sendable {
    let calls: [Int]?
    init(from decoder: any Decoder) throws { calls = try? decoder.singleValueContainer().decode([Int].self) }
  }

  /// Everything read once.
  enum Store {
    static let cases: [Case] = (try? Golden.json("samplers/cases.json", as: File.self).cases) ?? []
    nonisolated(unsafe) static let raw = (try? Golden.object("samplers/cases.json")) ?? [:]
    static let tensors: [String: [String: Golden.Values]] = {
      var out: [String: [String: Golden.Values]] = [:]
      for name in SamplerName.allCases { out[name.rawValue] = try? Golden.all("samplers/\(name.rawValue).safetensors") }
      return out
    }()
    nonisolated(unsafe) static let overrides: [String: [String: Any]] = {
      var out: [String: [String: Any]] = [:]
      for c in raw["cases"] as? [[String: Any]] ?? [] { out[c["case"] as? String ?? ""] = c["overrides"] as? [String: Any] ?? [:] }
      return out
    }()

    /// The base's config with the case's overrides and `changes` on top.
    static func config(_ base: String, _ overrides: [String: Any], _ changes: [String: Any] = [:]) -> ConfigReader {
      var object = (raw["bases"] as? [String: [String: Any]])?[base] ?? [:]
      object.merge(overrides) { $1 }
      object.merge(changes) { $1 }
      return ConfigReader(object, file: "\(base)/scheduler_config.json")
    }
  }

  /// The goldens' model: in double precision, on the scaled input.
  static func model(_ x: Tensor, _ t: Double) -> Tensor { x.map { Float(0.6 * sin(1.7 * Double($0)) + 0.1 * cos(0.01 * t)) } }

  struct Run {
    var states: [[Float]] = []
    var originals: [[Float]] = []
    var noiseCalls: [Int] = []
    var plan: SamplingPlan
  }

  /// Runs a case's inputs through a sampler, which may be another one than the case's.
  static func run(_ c: Case, _ name: SamplerName, changes: [String: Any] = [:]) throws -> Run {
    let tensors = Store.tensors[c.sampler] ?? [:]
    func values(_ what: String) throws -> Golden.Values { try #require(tensors["\(c.case):\(what)"], "\(c.case):\(what)") }
    let config = Store.config(c.base, Store.overrides[c.case] ?? [:], changes)
    let sampler = try name.sampler(config, steps: c.steps, options: SamplerOptions(eta: c.eta))
    let shape: Shape = [1, 4, 3, 3]
    var x = Tensor(try values("x").floats, shape)
    var run = Run(plan: sampler.plan)
    var indices = sampler.plan.indices
    if let strength = c.strength {
      indices = try sampler.plan.indices(strength: strength)
      let (x0, noise) = (Tensor(try values("init").floats, shape), Tensor(try values("initNoise").floats, shape))
      #expect(largestDifference(sampler.plan.addNoise(x0, noise, at: indices.lowerBound).array, x.array) < 1e-5 * max(c.scale, 1))
    }
    // Noise as recorded; where it is not stored, from the generator that also drew the first latents.
    let recorded = tensors["\(c.case):noise"]
    var random = TorchRandom(seed: 0)
    _ = random.normal(count: 36)
    var draws = 0
    var state = SamplerState()
    for (call, i) in indices.enumerated() {
      let step = sampler.step(i, x, state: &state, denoise: model) {
        run.noiseCalls.append(call)
        draws += 1
        if let recorded { return Tensor(draws <= recorded.shape[0] ? recorded.row(draws - 1) : [Float](repeating: .nan, count: 36), shape) }
        return Tensor(random.normal(count: 36), shape)
      }
      x = step.sample
      run.states.append(x.array)
      run.originals.append(step.predictedOriginal.array)
    }
    return run
  }

  /// Largest difference to the golden over all kept steps; infinite when the number of steps differs.
  static func difference(_ run: Run, _ c: Case, _ what: String = "steps") throws -> Double {
    guard let golden = Store.tensors[c.sampler]?["\(c.case):\(what)"] else { return 0 }
    guard run.states.count == c.calls else { return .infinity }
    let own = what == "pred" ? run.originals : run.states
    return (c.kept.calls ?? Array(0..<c.calls)).enumerated().map { largestDifference(own[$1], golden.row($0)) }.max() ?? .infinity
  }

  @Test func thereAreGoldensForEverySampler() {
    #expect(Store.cases.count > 300)
    for name in SamplerName.allCases { #expect(Store.cases.filter { $0.sampler == name.rawValue }.count > 10, "\(name)") }
  }

  @Test(arguments: Store.cases) func equalsDiffusersStepByStep(_ c: Case) throws {
    let name = try #require(SamplerName(rawValue: c.sampler))
    let run = try Self.run(c, name)
    let tensors = Store.tensors[c.sampler] ?? [:]
    let timesteps = try #require(tensors["\(c.case):timesteps"]).floats
    if c.case.contains("karras_sigmas=True") {
      // numpy's single-precision logarithm is exact to one or two units in the last place.
      #expect(largestDifference(run.plan.timesteps.map(Float.init), timesteps) < 1e-4)
    } else {
      #expect(run.plan.timesteps.map(Float.init) == timesteps)
    }
    #expect(run.plan.order == c.order)
    #expect(abs(Double(run.plan.initialNoiseSigma) - c.initNoiseSigma) <= 1e-6 * c.initNoiseSigma)
    if let calls = c.noiseCalls.calls { #expect(run.noiseCalls == calls) }
    #expect(run.states.count == c.calls)
    let states = try Self.difference(run, c)
    #expect(states <= c.tolerance, "states differ by \(states), allowed \(c.tolerance)")
    let originals = try Self.difference(run, c, "pred")
    #expect(originals <= 30 * c.tolerance, "x0 differs by \(originals), allowed \(30 * c.tolerance)")
    if let sigmas = tensors["\(c.case):sigmas"]?.floats {
      for (own, golden) in zip(run.plan.sigmas, sigmas) { #expect(abs(own - golden) <= 2e-6 * golden) }
    }
    if let start = c.start {
      let indices = try run.plan.indices(strength: try #require(c.strength))
      #expect(indices.lowerBound == start)
      #expect(Array(run.plan.timesteps[indices].prefix(3)) == c.firstTimesteps)
    }
  }

  // MARK: The goldens can tell samplers and settings apart

  /// A case that every sampler can run: no strength, the embedded model's own config.
  static func plain(_ name: SamplerName) throws -> Case {
    try #require(Store.cases.first { $0.case == "\(name.rawValue)/embedded/n\(name == .lcm ? 8 : 10)" })
  }

  @Test func noSamplerPassesForAnother() throws {
    var closest = (ratio: Double.infinity, pair: "")
    for name in SamplerName.allCases {
      let c = try Self.plain(name)
      for other in SamplerName.allCases where other != name {
        let ratio = try Self.difference(Self.run(c, other), c) / c.tolerance
        if ratio < closest.ratio { closest = (ratio, "\(other.rawValue) for \(name.rawValue)") }
        #expect(ratio > 100, "\(other.rawValue) passes for \(name.rawValue): \(ratio) times the tolerance")
      }
    }
    print("closest pair: \(closest.pair), \(closest.ratio) times the tolerance")
  }

  @Test(arguments: SamplerName.allCases) func wrongSettingsFail(_ name: SamplerName) throws {
    let c = try Self.plain(name)
    func fails(_ changes: [String: Any]) throws -> Bool {
      guard let run = try? Self.run(c, name, changes: changes) else { return true }
      return try Self.difference(run, c) > 100 * c.tolerance
    }
    #expect(try fails(["prediction_type": "v_prediction"]))
    #expect(try fails(["beta_schedule": "linear"]))
    #expect(try fails(["beta_end": 0.013]))
    if [.ddpm, .ddim, .pndm].contains(name) {
      #expect(try fails(["steps_offset": 0]))
      #expect(try fails(["steps_offset": 2]))
    }
    if ![.dpmpp2S, .dpmpp2MKarras, .lcm].contains(name) {
      let own = [.ddpm, .ddim, .pndm].contains(name) ? TimestepSpacing.leading : .linspace
      for other in TimestepSpacing.allCases where other != own { #expect(try fails(["timestep_spacing": other.rawValue]), "\(other)") }
    }
    if [.lms, .euler, .heun, .dpmpp2M, .dpmpp2MSDE, .dpmpp2S, .unipc].contains(name) { #expect(try fails(["use_karras_sigmas": true])) }
    if [.dpmpp2M, .dpmpp2MSDE, .dpmpp2S, .unipc].contains(name) { #expect(try fails(["solver_order": 1])) }
    if [.ddpm, .ddim, .lcm].contains(name) { #expect(try fails(["clip_sample": true])) }
    if name == .pndm { #expect(try fails(["skip_prk_steps": false])) }
    if name == .ddpm { #expect(try fails(["variance_type": "fixed_large"])) }
  }

  // MARK: Plans

  @Test func imageToImageStartsWhereDiffusersDoes() throws {
    struct Starts: Decodable {
      struct Start: Decodable {
        let sampler: String
        let steps: Int
        let strength: Double
        let start, calls: Int
        let firstTimesteps: [Double]
      }
      let base: String
      let starts: [Start]
    }
    let file = try Golden.json("samplers/starts.json", as: Starts.self)
    #expect(file.starts.count > 300)
    for s in file.starts {
      let plan = try #require(SamplerName(rawValue: s.sampler)).sampler(Store.config(file.base, [:]), steps: s.steps).plan
      if s.calls == 0 {
        #expect(throws: InputError.self) { try plan.indices(strength: s.strength) }
      } else {
        let indices = try plan.indices(strength: s.strength)
        #expect(indices == s.start..<s.start + s.calls, "\(s.sampler), \(s.steps) steps, strength \(s.strength)")
        #expect(plan.timesteps[indices].prefix(3).elementsEqual(s.firstTimesteps))
      }
    }
    let plan = try SamplerName.ddpm.sampler(Store.config("embedded", [:]), steps: 10).plan
    for strength in [-0.1, 1.1, .nan, .infinity] { #expect(throws: InputError.self) { try plan.indices(strength: strength) } }
  }

  @Test func addsNoiseAsDiffusersDoes() throws {
    struct Noising: Decodable {
      struct Row: Decodable {
        let `case`, sampler, base: String
        let steps: Int
        let timesteps: [Double]
      }
      let cases: [Row]
    }
    let tensors = try Golden.all("samplers/add_noise.safetensors")
    let (x, noise) = (try #require(tensors["x"]), try #require(tensors["noise"]))
    for row in try Golden.json("samplers/add_noise.json", as: Noising.self).cases {
      let plan = try #require(SamplerName(rawValue: row.sampler)).sampler(Store.config(row.base, [:]), steps: row.steps).plan
      let golden = try #require(tensors["\(row.case):out"])
      for (k, t) in row.timesteps.enumerated() {
        let i = try #require(plan.timesteps.firstIndex(of: t))
        let own = plan.addNoise(Tensor(x.row(k), [1, 4, 3, 3]), Tensor(noise.row(k), [1, 4, 3, 3]), at: i).array
        let scale = golden.row(k).map { abs(Double($0)) }.max() ?? 1
        #expect(largestDifference(own, golden.row(k)) <= 1e-6 * max(scale, 1), "\(row.case), t \(t)")
      }
    }
  }

  @Test func scheduleIsTorchs() throws {
    for (key, golden) in try Golden.all("samplers/schedule.safetensors") {
      let zeroSNR = key.contains("True")
      let cosine: [String: Any] = key.contains("cos") ? ["beta_schedule": "squaredcos_cap_v2"] : [:]
      let changes = zeroSNR ? ["rescale_betas_zero_snr": true] : cosine
      let schedule = try NoiseSchedule(Store.config(key.hasPrefix("embedded") ? "embedded" : "bare", changes))
      if zeroSNR {
        // PyTorch's square root comes from MKL and is one unit in the last place off for every fifth number.
        #expect(largestDifference(schedule.alphasCumprod, golden.floats) < 1e-6)
        #expect(schedule.alphasCumprod.last == 0)
      } else {
        #expect(schedule.alphasCumprod == golden.floats, "\(key)")
      }
      if zeroSNR { continue }
      for t in [0.0, 1, 17, 500, 999] { #expect(abs(schedule.timestep(sigma: schedule.sigma(at: t)) - t) < 1e-3) }
    }
    let betas: [Double] = [0.1, 0.2, 0.5]
    let trained = try NoiseSchedule(ConfigReader(["trained_betas": betas, "num_train_timesteps": 3], file: "x"))
    #expect(largestDifference(trained.alphasCumprod, [0.9, 0.72, 0.36]) < 1e-7)
  }

  @Test func spacingsAreNumpys() {
    // numpy's arange and diffusers' -1: n = 61 would have a 62nd timestep of -1.
    for n in 1...1000 {
      let t = TimestepSpacing.trailing.whole(n, of: 1000, offset: 0)
      #expect(t.count == n && t[0] == 999 && t[n - 1] >= 0 && zip(t, t.dropFirst()).allSatisfy { $0 > $1 })
    }
    #expect(TimestepSpacing.linspace.whole(3, of: 1000, offset: 0) == [999, 500, 0])
    #expect(TimestepSpacing.linspace.fractional(3, of: 1000, offset: 0) == [999, 499.5, 0])
    #expect(TimestepSpacing.leading.solver(3, upTo: 1000, of: 1000, offset: 1) == [751, 501, 251])
  }

  // MARK: Settings

  @Test func optionsWinOverTheConfig() throws {
    let config = Store.config("embedded", [:])
    for (options, changes): (SamplerOptions, [String: Any]) in [
      (SamplerOptions(spacing: .trailing), ["timestep_spacing": "trailing"]), (SamplerOptions(karras: true), ["use_karras_sigmas": true]),
      (SamplerOptions(prediction: .vPrediction), ["prediction_type": "v_prediction"]),
    ] {
      for name in [SamplerName.euler, .unipc, .dpmpp2M, .heun] {
        let (a, b) = (try name.sampler(config, steps: 9, options: options), try name.sampler(Store.config("embedded", changes), steps: 9))
        #expect(a.plan == b.plan)
        #expect(a.schedule == b.schedule)
      }
    }
    let karras = Store.config("embedded", ["use_karras_sigmas": true])
    let plain = try SamplerName.euler.sampler(config, steps: 9)
    #expect(try SamplerName.euler.sampler(karras, steps: 9, options: SamplerOptions(karras: false)).plan == plain.plan)
  }

  /// Expected numbers from diffusers: DDIMScheduler and DPMSolverMultistepScheduler, one step from index 7 of 10.
  @Test func dynamicThresholding() throws {
    var random = TorchRandom(seed: 5)
    let x = Tensor(random.normal(count: 24), [2, 3, 4, 1])
    let output = Tensor(random.normal(count: 24), [2, 3, 4, 1])
    let changes: [String: Any] = ["thresholding": true, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5]
    var state = SamplerState()
    let ddim = try SamplerName.ddim.sampler(Store.config("embedded", changes), steps: 10)
    let step = ddim.step(7, x, state: &state, denoise: { _, _ in output }, noise: { x })
    let samples: [Float] = [1.2126879692077637, 0.3998085856437683, -0.8581975698471069, -1.1818573474884033]
    let originals: [Float] = [1.0, 0.6527065634727478, -1.0, -0.7085314393043518]
    let last: [Float] = [0.731613039970398, 0.38683438301086426, -0.619499683380127, -0.12291473150253296]
    #expect(largestDifference(Array(step.sample.array.prefix(4)), samples) < 1e-6)
    #expect(largestDifference(Array(step.predictedOriginal.array.prefix(4)), originals) < 1e-6)
    #expect(largestDifference(Array(step.predictedOriginal.array.suffix(4)), last) < 1e-6)

    state = SamplerState()
    let dpm = try SamplerName.dpmpp2M.sampler(
      Store.config("embedded", changes.merging(["algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"]) { $1 }), steps: 10)
    let solved = dpm.step(7, x, state: &state, denoise: { _, _ in output }, noise: { x }).sample.array
    #expect(largestDifference(Array(solved.prefix(2)), [1.7010153532028198, 0.6251815557479858]) < 2e-6)
  }

  @Test func theModelsErrorsPassThrough() throws {
    struct Stop: Error {}
    let sampler = try SamplerName.euler.sampler(Store.config("embedded", [:]), steps: 3)
    let x = Tensor.zeros([1, 1, 1, 1])
    var state = SamplerState()
    #expect(throws: Stop.self) { try sampler.step(0, x, state: &state, denoise: { _, _ in throw Stop() }, noise: { x }) }
  }

  @Test(arguments: [
    ("steps_offset", "-1"), ("steps_offset", "1.5"), ("beta_schedule", "\"sine\""), ("beta_start", "\"a\""), ("beta_end", "7"),
    ("prediction_type", "\"flow\""), ("timestep_spacing", "\"even\""), ("trained_betas", "[0.1, 0.2]"), ("num_train_timesteps", "0"),
    ("use_beta_sigmas", "true"), ("use_flow_sigmas", "true"), ("algorithm_type", "\"x\""), ("solver_type", "\"x\""), ("solver_order", "4"),
    ("final_sigmas_type", "\"x\""), ("lambda_min_clipped", "1e9"), ("variance_type", "\"learned\""), ("dynamic_thresholding_ratio", "2"),
  ]) func badSettingsAreNamed(_ key: String, _ value: String) throws {
    let thresholding = key == "dynamic_thresholding_ratio" ? "\"thresholding\": true, " : ""
    let config = try ConfigReader(Data("{\(thresholding)\"\(key)\": \(value)}".utf8), file: "scheduler_config.json")
    let error = #expect(throws: InputError.self) { try SamplerName.dpmpp2M.sampler(config, steps: 10) }
    let message = error?.message ?? ""
    #expect(message.contains(key) && message.contains("scheduler_config.json"), "\(message)")
  }

  @Test func impossibleWishesAreRefused() throws {
    func refused(_ name: SamplerName, _ changes: [String: Any] = [:], steps: Int = 10, _ options: SamplerOptions = SamplerOptions()) {
      #expect(throws: InputError.self, "\(name) \(changes) \(steps) \(options)") {
        try name.sampler(Store.config("embedded", changes), steps: steps, options: options)
      }
    }
    for name in SamplerName.allCases {
      refused(name, steps: 0)
      refused(name, steps: -3)
      refused(name, steps: 1001)
    }
    for name in [SamplerName.ddpm, .ddim, .pndm, .eulerA, .lcm] { refused(name, SamplerOptions(karras: true)) }
    for name in [SamplerName.dpmpp2S, .lcm] { refused(name, SamplerOptions(spacing: .trailing)) }
    for name in [SamplerName.pndm, .eulerA] { refused(name, SamplerOptions(prediction: .sample)) }
    for eta in [-0.5, 1.5, .nan] { refused(.ddim, SamplerOptions(eta: eta)) }
    refused(.dpmpp2MKarras, SamplerOptions(karras: false))
    refused(.lcm, steps: 51)
    refused(.ddpm, steps: 1000)  // reaches timestep 1000, as diffusers finds out later
    refused(.ddpm, ["variance_type": "fixed_large_log"])
    refused(.pndm, ["skip_prk_steps": false], steps: 3)
    refused(.dpmpp2M, ["algorithm_type": "dpmsolver"])
    refused(.dpmpp2M, steps: 1000)
    refused(.lms, ["timestep_spacing": "leading", "steps_offset": 5000])
    refused(.unipc, ["predict_x0": false])
    refused(.unipc, ["lower_order_final": false])
    refused(.lcm, ["original_inference_steps": 2000])
    for name in SamplerName.allCases where ![.ddpm, .ddim, .pndm, .lcm].contains(name) {
      refused(name, ["beta_schedule": "linear", "beta_end": 1.0])
      refused(name, ["beta_start": 0.0, "beta_end": 0.0])
    }

    func refused(_ name: SamplerName, _ options: SamplerOptions) { refused(name, [:], steps: 10, options) }
  }

  /// Whatever the config says, there is a sampler that runs to its end or one `InputError`.
  @Test func oddSettingsDoNotTrap() throws {
    let values: [String: [Any]] = [
      "num_train_timesteps": [1, 2, 3, 10, 999], "beta_start": [0.0, 1e-9, 0.5, 1.0], "beta_end": [0.0, 1e-9, 0.3, 1.0],
      "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2"], "timestep_spacing": ["leading", "linspace", "trailing"],
      "steps_offset": [0, 1, 7, 1_000_000], "prediction_type": ["epsilon", "v_prediction", "sample"],
      "rescale_betas_zero_snr": [true, false],
      "use_karras_sigmas": [true, false], "use_exponential_sigmas": [true, false], "use_lu_lambdas": [true, false],
      "sigma_min": [1e-300, 5.0], "sigma_max": [1e300, 1e-9], "solver_order": [1, 2, 3], "final_sigmas_type": ["zero", "sigma_min"],
      "lower_order_final": [true, false], "lambda_min_clipped": [-5.0, -1e300, 3.0],
      "algorithm_type": ["dpmsolver", "dpmsolver++", "sde-dpmsolver"], "solver_type": ["midpoint", "heun", "bh1"],
      "skip_prk_steps": [true, false], "set_alpha_to_one": [true, false], "thresholding": [true, false],
      "sample_max_value": [0.0, 2.0], "interpolation_type": ["linear", "log_linear"], "original_inference_steps": [1, 3, 1000],
      "clip_sample": [true, false], "clip_sample_range": [-1.0, 2.0], "trained_betas": [[0.1, 0.5], [0.0, 1.0, 0.2]],
    ]
    let keys = values.keys.sorted()
    var random = TorchRandom(seed: 1)
    func pick(_ n: Int) -> Int { Int(random.bits32()) % n }
    var ran = 0
    for _ in 0..<20_000 {
      var object: [String: Any] = [:]
      for _ in 0..<pick(8) {
        let key = keys[pick(keys.count)]
        let choices = values[key] ?? []
        object[key] = choices[pick(choices.count)]
      }
      let name = SamplerName.allCases[pick(SamplerName.allCases.count)]
      guard let sampler = try? name.sampler(ConfigReader(object, file: "x"), steps: [1, 2, 3, 4, 7, 20, 61][pick(7)]) else { continue }
      let strength = [1, 0.7, 0.3][pick(3)]
      guard let indices = try? sampler.plan.indices(strength: strength) else { continue }
      var x = Tensor([1, -2, 0.5, 3], [1, 2, 2, 1])
      var state = SamplerState()
      let noise = Tensor([0.1, -1, 2, 0], [1, 2, 2, 1])
      for i in indices { x = sampler.step(i, x, state: &state, denoise: Self.model, noise: { noise }).sample }
      ran += 1
    }
    #expect(ran > 5000)
  }
}
