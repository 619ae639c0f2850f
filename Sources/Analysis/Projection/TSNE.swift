import Engine
import Foundation
import Kernels

/// t-SNE (van der Maaten and Hinton 2008) by gradient descent with momentum and gains, as openTSNE runs it: initialised with principal
/// components of standard deviation 1e-4 (Kobak and Berens 2019), exaggeration 12 at first, learning rate n / exaggeration in each phase (Belkina et al.
/// 2019), momentum 0.8. The gradient is without its factor of 4. After the exaggeration come 750 iterations, as in scikit-learn, where openTSNE
/// does 500: the divergence still falls there.
struct TSNE {
  var perplexity = 30.0
  var dimensions = 2
  var seed: UInt64 = 42
  var earlyIterations = 250
  var iterations = 1000
  var exaggeration: Float = 12

  /// Points up to which every pair is computed; above it a grid is faster.
  static let exactLimit = 2500

  /// - Parameter start: first coordinates [n, dimensions], of any scale.
  /// - Parameter progress: called with the number of iterations done.
  /// - Parameter repulsion: how the points push each other away; nil chooses by their number.
  func embed(
    _ affinities: SparseAffinities, start: Points, repulsion: (any TSNERepulsion)? = nil, progress: ((Int) -> Void)? = nil
  ) -> Points {
    let n = affinities.count
    var state = State(axes: initial(start))
    let repulsion = repulsion ?? (n <= Self.exactLimit || dimensions != 2 ? ExactRepulsion() : GridRepulsion())
    for iteration in 0..<iterations {
      let factor = iteration < earlyIterations ? exaggeration : 1
      step(&state, affinities, repulsion, factor, rate: max(Float(n) / factor, 50))
      progress?(iteration + 1)
    }
    var values = [Float](repeating: 0, count: n * dimensions)
    for i in 0..<n { for a in 0..<dimensions { values[i * dimensions + a] = state.axes[a][i] } }
    return Points(unchecked: values, count: n, dimension: dimensions)
  }

  private struct State {
    /// Coordinates by axis.
    var axes: [[Float]]
    var moves: [[Float]]
    var gains: [[Float]]
    var attraction: [[Float]]
    var repulsion: [[Float]]

    init(axes: [[Float]]) {
      self.axes = axes
      moves = axes.map { [Float](repeating: 0, count: $0.count) }
      gains = axes.map { [Float](repeating: 1, count: $0.count) }
      (attraction, repulsion) = (moves, moves)
    }
  }

  /// The first axis gets a standard deviation of 1e-4, the others keep their proportion. A hundredth of that is noise: points that are the
  /// same, or on a line, could never leave it otherwise.
  private func initial(_ start: Points) -> [[Float]] {
    let n = start.count
    var random = SplitMix64(seed: seed)
    let first = (0..<n).map { Double(start.values[$0 * start.dimension]) }
    let mean = first.reduce(0, +) / Double(n)
    let deviation = (first.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n)).squareRoot()
    let scale = deviation > 0 ? 1e-4 / deviation : 0
    return (0..<dimensions).map { a in
      (0..<n).map { i in
        let given = a < start.dimension ? Double(start.values[i * start.dimension + a]) * scale : 0
        return Float(given + 1e-6 * random.normal())
      }
    }
  }

  private func step(_ state: inout State, _ p: SparseAffinities, _ repulsion: any TSNERepulsion, _ factor: Float, rate: Float) {
    let n = p.count
    attract(&state, p)
    let z = repulsion.forces(state.axes, &state.repulsion)
    let push = Float(1 / max(z, 1e-300))
    for a in 0..<dimensions {
      var sum = 0.0
      state.axes[a].withUnsafeMutableBufferPointer { y in
        state.moves[a].withUnsafeMutableBufferPointer { move in
          state.gains[a].withUnsafeMutableBufferPointer { gain in
            state.attraction[a].withUnsafeBufferPointer { pull in
              state.repulsion[a].withUnsafeBufferPointer { away in
                for i in 0..<n {
                  let gradient = factor * pull[i] - push * away[i]
                  let same = (move[i] > 0) == (gradient > 0)
                  gain[i] = max(same ? gain[i] * 0.8 : gain[i] + 0.2, 0.01)
                  move[i] = 0.8 * move[i] - rate * gain[i] * gradient
                  // No step is longer than 5: one bad step would stretch the picture (openTSNE's max_step_norm).
                  move[i] = min(max(move[i], -5), 5)
                  y[i] += move[i]
                }
                for i in 0..<n { sum += Double(y[i]) }
                let mean = Float(sum / Double(n))
                for i in 0..<n { y[i] -= mean }
              }
            }
          }
        }
      }
    }
  }

  private func attract(_ state: inout State, _ p: SparseAffinities) {
    let n = p.count
    let block = 512
    let axes = state.axes
    func run(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ z: UnsafePointer<Float>?, _ force: [UnsafeMutablePointer<Float>]) {
      p.starts.withUnsafeBufferPointer { starts in
        p.columns.withUnsafeBufferPointer { columns in
          p.values.withUnsafeBufferPointer { values in
            guard let starts = starts.baseAddress, let columns = columns.baseAddress, let values = values.baseAddress else { return }
            inParallel(tasks: (n + block - 1) / block) { task in
              Kernel.table.attraction_rows(
                starts, columns, values, x, y, z, task * block, min(n, (task + 1) * block), force[0], force[1], z == nil ? nil : force[2])
            }
          }
        }
      }
    }
    // A second axis of zeros makes one dimension two.
    var forces = state.attraction + (dimensions == 1 ? [[Float](repeating: 0, count: n)] : [])
    let other = dimensions == 1 ? [Float](repeating: 0, count: n) : axes[1]
    forces.withPointers { force in
      axes[0].withUnsafeBufferPointer { x in
        other.withUnsafeBufferPointer { y in
          guard let x = x.baseAddress, let y = y.baseAddress else { return }
          if dimensions == 3 { axes[2].withUnsafeBufferPointer { run(x, y, $0.baseAddress, force) } } else { run(x, y, nil, force) }
        }
      }
    }
    state.attraction = Array(forces.prefix(dimensions))
  }
}

extension [[Float]] {
  /// Calls `body` with a pointer to each of the (non-empty) arrays.
  fileprivate mutating func withPointers(_ body: ([UnsafeMutablePointer<Float>]) -> Void) {
    func next(_ array: inout [[Float]], _ at: Int, _ pointers: [UnsafeMutablePointer<Float>]) {
      if at == array.count { return body(pointers) }
      var mine: [Float] = []
      swap(&mine, &array[at])
      mine.withUnsafeMutableBufferPointer { buffer in if let base = buffer.baseAddress { next(&array, at + 1, pointers + [base]) } }
      swap(&mine, &array[at])
    }
    next(&self, 0, [])
  }
}
