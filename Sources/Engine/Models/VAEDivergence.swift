import Foundation

extension VAE.Distribution {
  /// How far the distribution is from the standard normal one, in nats: of each picture 1/2 the sum over all positions and channels of mean^2 + variance - 1 - log variance
  /// (Kingma and Welling 2014, appendix B), and of these the mean over the pictures, `[1]`. Sums in double.
  public func divergence() -> Tensor {
    let n = mean.shape[0]
    var sum = 0.0
    for i in 0..<mean.count {
      let (m, v) = (Double(mean.data[i]), Double(logVariance.data[i]))
      sum += m * m + exp(v) - 1 - v
    }
    let out = Tensor([Float(0.5 * sum / Double(n))], [1])
    guard records(mean, logVariance) else { return out }
    return out.recorded(from: [mean, logVariance]) { g in
      let (toMean, toVariance) = (Tensor(uninitialized: mean.shape), Tensor(uninitialized: mean.shape))
      let share = g.data[0] / Float(n)
      for i in 0..<mean.count {
        toMean.storage.pointer[i] = share * mean.data[i]
        toVariance.storage.pointer[i] = share * 0.5 * (exp(logVariance.data[i]) - 1)
      }
      return [toMean, toVariance]
    }
  }
}
