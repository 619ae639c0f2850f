import TestSupport
import Testing

@testable import Engine

@Suite struct SegmentationNetTests {
  private static let config = SegmentationNetConfig(width: 4, groups: 2, maps: [5, 4], classes: 3)

  private static func parameters(_ golden: Golden) throws -> Parameters {
    let empty = SegmentationNet.parameters(config)
    return Parameters(
      try zip(empty.names, empty.values).map { name, zeros in
        let values = try golden.tensor("weight:\(name)")
        try #require(values.shape == zeros.shape, "\(name)")
        return (name, values)
      })
  }

  private static func loss(_ out: SegmentationNet.Output, _ golden: Golden, background: Float = 0.5) throws -> Tensor {
    let labels = try (0..<2).map { try golden.integers("in:labels.\($0)").flatMap { $0 } }
    return Tensor.combination(
      (1, out.maps[0].crossEntropy(labels[0], weights: [background, 1, 1, 1, 1])), (1, out.maps[1].crossEntropy(labels[1])),
      (0.3, out.classes.crossEntropy(try golden.integers("in:whole")[0])))
  }

  @Test func mapsClassesAndFeaturesAreThoseOfPyTorch() throws {
    let golden = try Golden("segmentation/segmentation.safetensors")
    let parameters = try Self.parameters(golden)
    let weights = parameters.recorded { _ in false }.store
    let net = SegmentationNet(weights, Self.config)
    #expect(try weights.finish().isEmpty)
    let x = try golden.nhwc("in:x")
    let out = net(x)
    for i in 0..<2 { #expect(largestDifference(out.maps[i], try golden.nhwc("out:maps.\(i)")) < 1e-5) }
    #expect(largestDifference(out.classes, try golden.tensor("out:classes")) < 1e-5)
    #expect(largestDifference(out.features, try golden.tensor("out:features")) < 1e-5)
    // Each picture by itself: no statistics of the batch.
    #expect(largestDifference(net(x.slice(1..<2)).maps[0], out.maps[0].slice(1..<2)) < 1e-5)
    // Sabotage: other groups, and pictures with rows and columns exchanged in their order.
    var other = Self.config
    other.groups = 4
    #expect(largestDifference(SegmentationNet(weights, other)(x).maps[0], out.maps[0]) > 1e-2)
    let swapped = Tensor.concatenated([x.slice(1..<3), x.slice(0..<1)])
    #expect(largestDifference(net(swapped).classes, out.classes) > 1e-2)
  }

  @Test func lossAndGradientsAreThoseOfPyTorch() throws {
    let golden = try Golden("segmentation/segmentation.safetensors")
    let parameters = try Self.parameters(golden)
    func gradients(background: Float) throws -> (loss: Float, [String: Tensor]) {
      let recorded = parameters.recorded()
      let loss = try Self.loss(SegmentationNet(recorded.store, Self.config)(golden.nhwc("in:x")), golden, background: background)
      return (loss.array[0], recorded.gradients(of: loss))
    }
    let (loss, found) = try gradients(background: 0.5)
    #expect(abs(loss - (try golden.tensor("out:loss").array[0])) < 1e-5)
    #expect(Set(found.keys) == Set(parameters.names))
    let (_, wrong) = try gradients(background: 1)
    var sabotaged = 0.0
    for (name, gradient) in found {
      let expected = try golden.tensor("gradient:\(name)")
      // Biases before a norm of their group's width have gradients near zero: relative to the weights' instead.
      let scale = max(Double(expected.array.map(abs).max() ?? 0), 1e-3)
      #expect(largestDifference(gradient, expected) < 1e-3 * scale, "\(name)")
      if let other = wrong[name] { sabotaged = max(sabotaged, largestDifference(other, expected) / scale) }
    }
    #expect(sabotaged > 0.05)
  }

  @Test func activationMapsAreThoseOfPyTorch() throws {
    let golden = try Golden("segmentation/segmentation.safetensors")
    let net = SegmentationNet(try Self.parameters(golden).recorded { _ in false }.store, Self.config)
    let picture = try golden.nhwc("in:x").slice(1..<2)
    for k in [1, 3] {
      let map = net.activation(of: picture, map: 0, class: k)
      let expected = try golden.tensor("out:activation.\(k)")
      #expect(expected.shape.dimensions == [1, map.height, map.width])
      let largest = Double(expected.array.max() ?? 0)
      #expect(largest > 0 && largestDifference(Tensor(map.values, expected.shape), expected) < 1e-4 * largest)
      // Another class has another map.
      #expect(largestDifference(Tensor(net.activation(of: picture, map: 0, class: 2).values, expected.shape), expected) > 0.05 * largest)
    }
  }
}
