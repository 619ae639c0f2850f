import Engine

/// How much each token has to do with what the prompt changes in a region of a picture: gradients of the network's answer by the prompt's embedding.
///
/// The picture is noised to a timestep t. With c the prompt's embedding, c' that of the empty prompt, and R weights of places,
/// `u = R (eps(x_t, c) - eps(x_t, c'))` is what the prompt changes in the region, and `F(c) = <u, eps(x_t, c)>` how much of it an embedding brings about. Then
/// token j has
/// - integrated gradients (Sundararajan et al., ICML 2017): `A_j = <c_j - c'_j, mean over a in 0...1 of dF/dc_j (c' + a (c - c'))>`; all together they
///   are F(c) - F(c') = |u|^2 when R is 0 or 1 everywhere: completeness, up to the number of points;
/// - gradient times input: the same with the gradient at c alone, which promises no sum.
/// Shares are A_j by that whole; they may be negative: a token that works against the rest.
public struct WordAttribution: Sendable {
  public enum Method: String, CaseIterable, Sendable {
    /// Integrated gradients.
    case integrated = "ig"
    /// Gradient times input.
    case gradient
  }

  /// For each timestep and token A_j.
  public let values: [[Double]]
  /// For each timestep F(c) - F(c').
  public let totals: [Double]

  /// Shares of the tokens, over all timesteps.
  public var shares: [Double] {
    let total = totals.reduce(0, +)
    return (values.first ?? []).indices.map { j in total != 0 ? values.reduce(0) { $0 + $1[j] } / total : 0 }
  }

  /// Sum of all shares: 1 but for the error of the integral, for integrated gradients.
  public var completeness: Double { shares.reduce(0, +) }

  /// - Parameters:
  ///   - latents: of the picture, `[1, h, w, c]`.
  ///   - text: c, `[1, tokens, width]`.
  ///   - baseline: c', of the same shape.
  ///   - region: a weight for each place, `[h, w]`, not all 0.
  ///   - points: of the integral, at the middles of as many equal parts.
  ///   - seed: of the noise; the same at every timestep.
  ///   - each: called after every gradient with the number done.
  /// - Throws: `InputError` (usage) for a timestep outside of the schedule and models that need more than a noised picture; (badData) for answers
  ///   that are not finite.
  public init(
    _ model: StableDiffusion, latents: Tensor, text: Tensor, baseline: Tensor, region: [Float], timesteps: [Int], method: Method,
    points: Int = 16, seed: UInt64, each: (Int) -> Void = { _ in }
  ) throws {
    precondition(text.shape == baseline.shape && region.count == latents.shape[1] * latents.shape[2], "\(text.shape), \(baseline.shape)")
    precondition(points > 0 && region.contains { $0 != 0 }, "no points or no region")
    let schedule = try NoisedPicture.schedule(of: model)
    var random = TorchRandom(seed: seed)
    let noise = random.normal(nhwc: latents.shape)
    let (tokens, width) = (text.shape[1], text.shape[2])
    let away = Tensor.combination((1, text), (-1, baseline)).array
    let places = method == .integrated ? (0..<points).map { (Double($0) + 0.5) / Double(points) } : [1]
    var done = 0
    var values: [[Double]] = []
    var totals: [Double] = []
    for t in timesteps {
      let x = try NoisedPicture.noised(latents, noise, timestep: t, schedule)
      let answers = try model.unet(.concatenated([x, x]), timesteps: [Double(t)], text: .concatenated([text, baseline]))
      let (with, without) = (answers.slice(0..<1).array, answers.slice(1..<2).array)
      guard (with + without).allSatisfy(\.isFinite) else {
        throw InputError(.badData, "the network's answer at t = \(t) is not a number", hint: "the model is damaged")
      }
      let channels = answers.shape[3]
      let u = with.indices.map { region[$0 / channels] * (with[$0] - without[$0]) }
      totals.append(zip(u, zip(with, without)).reduce(0.0) { $0 + Double($1.0) * (Double($1.1.0) - Double($1.1.1)) })
      var sums = [Double](repeating: 0, count: tokens)
      for a in places {
        let c = Tensor.combination((a, text), (1 - a, baseline)).recorded()
        let out = try model.unet(x, timesteps: [Double(t)], text: c)
        guard let gradient = gradients(of: out, seed: Tensor(u, out.shape), for: [c])[0]?.array else { continue }
        for j in 0..<tokens {
          for k in j * width..<(j + 1) * width { sums[j] += Double(away[k]) * Double(gradient[k]) }
        }
        done += 1
        each(done)
      }
      values.append(sums.map { $0 / Double(places.count) })
    }
    self.values = values
    self.totals = totals
  }

  /// Shares of groups of tokens.
  public func share(_ places: [Int]) -> Double {
    let all = shares
    return places.reduce(0) { $0 + all[$1] }
  }
}
