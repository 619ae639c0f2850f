import Engine
import Foundation

/// How parameters are moved, whatever they are trained for.
public struct TrainerSettings: Codable, Equatable, Sendable {
  public enum Optimiser: String, Codable, Sendable, CaseIterable {
    case adamw
    /// Muon for hidden matrices and kernels, AdamW for the rest.
    case muon
  }

  /// Steps of the whole training: the learning rate's cosine ends there.
  public var steps: Int
  public var batch: Int
  /// Highest learning rate.
  public var rate: Double
  /// Steps until it is reached.
  public var warmUp: Int
  /// Lowest rate at the end, as a part of the highest.
  public var floor: Double
  public var optimiser: Optimiser
  /// Weight decay of matrices and kernels; biases and norms have none.
  public var decay: Double
  public var beta2: Double
  /// Norm that all gradients together may have.
  public var clip: Double
  /// Limit of the factor with which the moving average is kept.
  public var average: Double
  public var seed: UInt64

  public init(
    steps: Int, batch: Int, rate: Double, warmUp: Int = 100, floor: Double = 0.02, optimiser: Optimiser = .adamw, decay: Double = 0.01,
    beta2: Double = 0.99, clip: Double = 1, average: Double = 0.999, seed: UInt64 = 42
  ) {
    (self.steps, self.batch, self.rate, self.warmUp, self.floor) = (steps, batch, rate, warmUp, floor)
    (self.optimiser, self.decay, self.beta2, self.clip, self.average, self.seed) = (optimiser, decay, beta2, clip, average, seed)
  }

  var schedule: LearningRate { LearningRate(highest: rate, warmUp: warmUp, total: steps, floor: floor) }
}

/// Parameters on their way: gradients, clipping, optimiser, moving average. One step after another, each a function of the state before it and of what the
/// objective makes of the step's number, so that a training that was killed goes on to the same bits.
public struct Trainer: Sendable {
  public let settings: TrainerSettings
  public internal(set) var parameters: Parameters
  public internal(set) var average: MovingAverage
  /// Steps taken.
  public internal(set) var step = 0
  var adam: AdamW
  var muon: Muon
  private let isTrained: @Sendable (String) -> Bool

  /// What a step did.
  public struct Report: Sendable, Equatable {
    /// From 1.
    public let step: Int
    public let loss: Double
    /// Of all gradients together, before clipping.
    public let norm: Double
    public let rate: Double
  }

  /// - Parameters:
  ///   - parameters: all that the objective's networks are made of.
  ///   - isTrained: others are frozen; they are neither averaged nor kept.
  public init(_ parameters: Parameters, _ settings: TrainerSettings, where isTrained: @escaping @Sendable (String) -> Bool = { _ in true })
  {
    self.settings = settings
    self.parameters = parameters
    self.isTrained = isTrained
    adam = AdamW(beta2: settings.beta2)
    muon = Muon(decay: settings.decay)
    average = MovingAverage(
      Parameters(zip(parameters.names, parameters.values).filter { isTrained($0.0) }.map { ($0, $1) }), decay: settings.average)
  }

  /// The parameters that move.
  var trained: Parameters { Parameters(zip(parameters.names, parameters.values).filter { isTrained($0.0) }.map { ($0, $1) }) }

  public var isDone: Bool { step >= settings.steps }

  /// One step.
  /// - Parameter loss: `[1]`, of networks that are built from the recorded parameters; the number counts from 0.
  /// - Throws: what `loss` throws, and `InputError` (badData) when the loss or a gradient is no finite number: the parameters then stay as they were.
  public mutating func advance(_ loss: (RecordedParameters, _ step: Int) throws -> Tensor) throws -> Report {
    let recorded = parameters.recorded(where: isTrained)
    let value = try loss(recorded, step)
    let gradients = recorded.gradients(of: value)
    let (number, norm) = (Double(value.array[0]), globalNorm(gradients))
    guard number.isFinite, norm.isFinite else {
      throw InputError(
        .badData, "step \(step + 1): the loss is \(number), the gradients' norm \(norm)",
        hint: "a lower learning rate or a longer warm-up keeps it finite")
    }
    let rate = settings.schedule(step)
    let scale = clippingFactor(norm: norm, limit: settings.clip)
    let isMuon = settings.optimiser == .muon
    let hidden = Set(zip(parameters.names, parameters.values).filter { isMuon && Muon.isHidden($0.0, $0.1.shape) }.map(\.0))
    adam.step(&parameters, gradients, rate: rate, decay: { [decay = settings.decay] _, shape in shape.rank >= 2 ? decay : 0 }, scale: scale)
    {
      !hidden.contains($0)
    }
    if isMuon { muon.step(&parameters, gradients, rate: rate, scale: scale) { name, _ in hidden.contains(name) } }
    average.update(trained)
    step += 1
    return Report(step: step, loss: number, norm: norm, rate: rate)
  }
}
