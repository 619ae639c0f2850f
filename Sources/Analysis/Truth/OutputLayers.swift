/// The choice of the layers of `OutputMaps` on pictures whose truth is known.
public struct OutputLayers: Sendable {
  /// Paths, in network order.
  public let paths: [String]
  /// Mean IoU on the pictures that it was chosen on, at the best threshold: flattered by the choice.
  public let iou: Double
  /// The threshold of that.
  public let threshold: Int
  fileprivate let indices: [Int]

  /// Layers are added one by one, each time the one that raises the mean IoU most, until none raises it.
  /// - Parameter pictures: of one model, with their objects' masks.
  public init(choosingOn pictures: [(maps: TruthMaps, masks: [[Bool]])]) {
    func score(_ layers: [Int]) -> (iou: Double, threshold: Int) {
      let scores = pictures.flatMap { picture in
        zip(picture.maps.written(layers: layers, refinement: OutputMaps.refinement), picture.masks).map { Localisation($0, $1) }
      }
      let t = League.threshold(scores)
      return (scores.reduce(0) { $0 + $1.iou[t] } / Double(max(1, scores.count)), t)
    }
    let places = pictures.first?.maps.outputLayers ?? []
    var chosen: [Int] = []
    var best = (iou: -1.0, threshold: 0)
    while let next = places.indices.filter({ !chosen.contains($0) }).map({ ($0, score(chosen + [$0])) }).max(by: { $0.1.iou < $1.1.iou }),
      next.1.iou > best.iou
    {
      chosen.append(next.0)
      best = next.1
    }
    indices = chosen.sorted()
    paths = indices.map { places[$0].path }
    (iou, threshold) = best
  }

  /// The maps of a picture's objects.
  public func maps(_ picture: TruthMaps) -> [[Float]] { picture.written(layers: indices, refinement: OutputMaps.refinement) }
}
